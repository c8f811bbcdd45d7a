"""The rival on paramiko: a channel of a client joined with one of the upstream's, a thread for each stream.

paramiko-proxy.py HOSTKEY UPSTREAM-HOST UPSTREAM-PORT USER IDENTITY

Lets everyone with a public key in (who may log in is not what is measured), and prints its port.
"""

import socket
import sys
import threading

import paramiko

host_key, upstream_host, upstream_port, user, identity = sys.argv[1:]
piece = 32 * 1024


def pump(read, write, end):
    while data := read(piece):
        write(data)
    end()


def join(near, far):
    threading.Thread(target=pump, args=(near.recv, far.sendall, far.shutdown_write), daemon=True).start()
    down = [
        threading.Thread(target=pump, args=(far.recv, near.sendall, lambda: None), daemon=True),
        threading.Thread(target=pump, args=(far.recv_stderr, near.sendall_stderr, lambda: None), daemon=True),
    ]
    for thread in down:
        thread.start()
    for thread in down:
        thread.join()
    near.send_exit_status(far.recv_exit_status())
    near.close()


class Server(paramiko.ServerInterface):
    def __init__(self):
        self.upstream = paramiko.SSHClient()
        self.upstream.set_missing_host_key_policy(paramiko.AutoAddPolicy())

    def get_allowed_auths(self, username):
        return "publickey"

    def check_auth_publickey(self, username, key):
        return paramiko.AUTH_SUCCESSFUL

    def check_channel_request(self, kind, chanid):
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel, command):
        self.upstream.connect(
            upstream_host,
            int(upstream_port),
            username=user,
            key_filename=identity,
            allow_agent=False,
            look_for_keys=False,
        )
        far = self.upstream.get_transport().open_session()
        far.exec_command(command)
        threading.Thread(target=join, args=(channel, far), daemon=True).start()
        return True


def serve(stream):
    stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    transport = paramiko.Transport(stream)
    transport.add_server_key(paramiko.Ed25519Key.from_private_key_file(host_key))
    server = Server()
    transport.start_server(server=server)
    transport.join()
    server.upstream.close()


listener = socket.create_server(("127.0.0.1", 0), backlog=128)
print(listener.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(listener.accept()[0],), daemon=True).start()
