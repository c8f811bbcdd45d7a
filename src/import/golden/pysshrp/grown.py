servers = []
servers += [{'user': 'a', 'upstream_host': 'a.lan'}]
