# -*- coding: utf-8 -*-
"""Every parameter."""
listen = '127.0.0.1:2200'
level = 'WARNING'
key = '../key'
user = "pysshrp"
group = "sshgate"

servers = [
    # passed through
    {'user': 'through', 'upstream_host': 'through.example.lan'},
    # checked here, another password for the upstream
    {
        'user': 'local',
        'password': 'hunter2',
        'upstream_host': '192.0.2.7',
        'upstream_user': 'ada',
        'upstream_password': u'pass\u0077\xf6rd',
        'upstream_port': 0x8ae,
    },
    # checked here, and the upstream takes the same
    {'user': 'same', 'password': "hunter2", 'upstream_host': 'same.lan'},
    # any password logs in
    {'user': 'any', 'upstream_host': 'any.lan', 'upstream_password': 'hunter2'},
    # by key
    {'user': 'key', 'upstream_host': 'key.lan', 'upstream_key': 'id_rsa'},
    {'user': 'key2', 'upstream_host': 'key.lan', 'upstream_key': '/etc/id_rsa',
     'upstream_authorized_keys': '.ssh/keys'},
    {'user': 'keyless', 'upstream_host': 'key.lan', 'upstream_authorized_keys': '.ssh/keys'},
    # restrictions
    {'user': 'root', 'upstream_host': 'files.lan', 'upstream_root_path': '/var/www'},
    {'user': 'nossh', 'upstream_host': 'files.lan', 'allow_ssh': False},
    {'user': 'nosftp', 'upstream_host': 'files.lan', 'allow_sftp': False},
    {'user': '^root-(?P<who>[a-z]+)$', 'upstream_host': 'files.lan', 'upstream_root_path': 'srv/{who}\\1/',
     'allow_ssh': False},
    {'user': 'rootless', 'upstream_host': 'files.lan', 'upstream_root_path': '/var/www', 'allow_sftp': False},
    # defaults, written out
    {'user': 'plain', 'password': '', 'upstream_host': 'plain.lan', 'upstream_user': '', 'upstream_password': '',
     'upstream_key': '', 'upstream_authorized_keys': '', 'upstream_port': 22, 'upstream_root_path': '',
     'allow_ssh': True, 'allow_sftp': True},
    # unknown
    {'user': 'odd', 'upstream_host': 'odd.lan', 'allow_sft': False},
]
helper = 3
