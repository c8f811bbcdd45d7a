"""paramiko as a server: argv[1] and what is printed are as with asyncssh_server.py."""
import json
import socket
import sys
import threading

import paramiko

plan = json.loads(sys.argv[1])
authorized = {line.split()[1] for line in plan["authorizedKeys"].splitlines() if line}


class Server(paramiko.ServerInterface):
    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        good = key.get_base64() in authorized
        return paramiko.AUTH_SUCCESSFUL if good else paramiko.AUTH_FAILED

    def check_channel_request(self, kind, number):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        threading.Thread(target=echo, args=(channel,), daemon=True).start()
        return True


def echo(channel):
    total = 0
    while True:
        chunk = channel.recv(65536)
        if not chunk:
            break
        if total <= 100000 < total + len(chunk):
            channel.get_transport().renegotiate_keys()
        total += len(chunk)
        channel.sendall(chunk)
    channel.sendall_stderr(b"to stderr\n")
    channel.send_exit_status(7)
    channel.close()


def load(path):
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(path)
        except paramiko.SSHException:
            pass
    raise ValueError("no key in " + path)


def serve(listener, case):
    while True:
        connection, _ = listener.accept()
        transport = paramiko.Transport(connection)
        transport.daemon = True
        options = transport.get_security_options()
        for name, field in (("kex", "kex"), ("ciphers", "cipher"), ("digests", "mac"), ("key_types", "hostKeyAlgorithm")):
            if case.get(field):
                setattr(options, name, (case[field],))
        transport.add_server_key(load(plan["hostKeys"][case.get("hostKeyAlgorithm") or "ssh-ed25519"]))
        try:
            transport.start_server(server=Server())
        except (paramiko.SSHException, EOFError) as error:
            sys.stderr.write("%s: %s\n" % (case["id"], error))


# The groups that OpenSSH brings, for group exchange.
paramiko.Transport.load_server_moduli()
for case in plan["cases"]:
    listener = socket.create_server(("127.0.0.1", 0))
    threading.Thread(target=serve, args=(listener, case), daemon=True).start()
    print(json.dumps({"id": case["id"], "port": listener.getsockname()[1]}), flush=True)
threading.Event().wait()
