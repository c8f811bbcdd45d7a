listen = 'nowhere'
level = 'LOUD'
key = 5
user = 'a b'
servers = [
    5,
    {},
    {'user': 'a', 'upstream_host': ''},
    {5: 'a', 'user': ['a'], 'upstream_host': 'a'},
    {'user': 'b', 'upstream_host': 'no host', 'upstream_port': True},
    {'user': 'c', 'upstream_host': 'c', 'upstream_port': 65536, 'allow_ssh': 1},
    {'user': r'^(?!root)(.*)$', 'upstream_host': 'd'},
    {'user': r'^(a)\1$', 'upstream_host': 'e'},
    {'user': r'^(?P<x>a)(?P=x)$', 'upstream_host': 'f'},
    {'user': r'^(a', 'upstream_host': 'g'},
    {'user': r'^a$', 'upstream_host': r'\g<nobody>.lan'},
    {'user': r'^a', 'upstream_host': r'\g<0>.lan'},
    {'user': r'^(a)?(?(1)b|c)$', 'upstream_host': 'h'},
    {'user': r'^a(?x)$', 'upstream_host': 'i'},
    {'user': 'j', 'upstream_host': r'\1.lan'},
    {'user': 'k', 'upstream_host': '127.1'},
    {'user': '^' 'a', 'password': 5, 'allow_sftp': None, 'upstream_host': 'l'},
]
