servers = [{'user': 'ada', 'upstream_host': 'ada.lan'}]
