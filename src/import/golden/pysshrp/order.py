listen = '0.0.0.0:22'
key = '../key'
servers = [
    {'user': r'^.*', 'upstream_host': 'all.lan'},
    {'user': 'web1', 'upstream_host': 'first.lan'},
    {'user': r'^web(?P<id>\d+)$', 'upstream_host': r'web\g<id>.lan', 'upstream_user': r'u\1'},
    {'user': 'web1', 'upstream_host': 'never.lan'},
    {'user': r'^web', 'upstream_host': 'web.lan'},
    {'user': r'^(?P<user>[a-z]+)\+(\w+)$', 'upstream_host': r'\2.lan', 'upstream_user': r'\g<user>'},
    {'user': r'^(?P<host>.+)%(?P<who>.+)$', 'upstream_host': r'\g<host>', 'upstream_user': r'\g<who>'},
    {'user': r'^a|b$', 'upstream_host': 'ab.lan'},
    {'user': r'^Web(?i)\Z', 'upstream_host': 'case.lan'},
    {'user': r'^${env:HOME}{brace}', 'upstream_host': 'x.lan', 'upstream_user': 'a{b}${env:HOME}'},
]
