"""Does what systemd does for a socket unit (sd_listen_fds(3)): binds argv[1], then becomes argv[2:] with the socket as descriptor 3."""
import os
import socket
import sys

listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
if listener.fileno() != 3:
    os.dup2(listener.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="ssh")
os.execv(sys.argv[2], sys.argv[2:])
