servers = []
