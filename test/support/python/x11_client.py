"""The part of an X client that authentication needs: connects to $DISPLAY with the cookie that xauth holds, prints the answer."""
import os
import re
import socket
import subprocess
import sys

display = os.environ["DISPLAY"]
host, number = re.match(r"([^:]*):(\d+)", display).groups()
listed = subprocess.run(["xauth", "list", display], capture_output=True, text=True, check=True).stdout.split()
name, cookie = listed[1].encode(), bytes.fromhex(listed[2])
connection = socket.create_connection((host or "localhost", 6000 + int(number)), timeout=30)


def padded(data):
    return data + b"\0" * (-len(data) % 4)


# X11 protocol, "Connection Setup": byte order, version 11.0, lengths of the authorization name and data.
setup = b"l\0" + (11).to_bytes(2, "little") + (0).to_bytes(2, "little")
setup += len(name).to_bytes(2, "little") + len(cookie).to_bytes(2, "little") + b"\0\0"
connection.sendall(setup + padded(name) + padded(cookie))
answer = b""
while True:
    chunk = connection.recv(65536)
    if not chunk:
        break
    answer += chunk
sys.stdout.write("%d bytes, sum %d\n" % (len(answer), sum(answer)))
