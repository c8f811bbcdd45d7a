"""A client that breaks the rules after the first key exchange: argv is HOST PORT USER IDENTITY MODE [COUNT].

Prints what became of it as one line of JSON: {"answers": [message numbers], "disconnect": [reason, text] or null, "ended": bool}.
"""
import json
import os
import socket
import sys
import threading
import time

import paramiko
from paramiko.common import MSG_DISCONNECT
from paramiko.message import Message
from paramiko.packet import Packetizer

host, port, user, identity, mode = sys.argv[1:6]
count = int(sys.argv[6]) if len(sys.argv) > 6 else 1
deadline = time.monotonic() + 25
seen = []
reason = None

# Every message that comes is written down before paramiko looks at it.
read_message = Packetizer.read_message


def watched(self):
    global reason
    kind, message = read_message(self)
    seen.append(kind)
    if kind == MSG_DISCONNECT and reason is None:
        copy = Message(message.asbytes())
        reason = [copy.get_int(), copy.get_text()]
    return kind, message


Packetizer.read_message = watched

raw = socket.create_connection((host, int(port)), timeout=30)
transport = paramiko.Transport(raw)
transport.daemon = True
transport.start_client(timeout=30)


def packet(kind, *fields):
    message = Message()
    message.add_byte(bytes([kind]))
    for field in fields:
        if isinstance(field, bool):
            message.add_boolean(field)
        elif isinstance(field, int):
            message.add_int(field)
        else:
            message.add_string(field)
    return message


def send(message):
    transport.packetizer.send_message(message)


def log_in():
    transport.auth_publickey(user, paramiko.Ed25519Key.from_private_key_file(identity))


if mode == "random-after-kex":
    raw.sendall(os.urandom(100000))
elif mode == "oversize-after-kex":
    raw.sendall(b"\xff" * 64)
elif mode == "bad-mac":
    # One bit of the tag or ciphertext turned.
    write_all = transport.packetizer.write_all
    transport.packetizer.write_all = lambda data: write_all(data[:-1] + bytes([data[-1] ^ 1]))
    send(packet(5, "ssh-userauth"))
elif mode == "truncated-packet":
    write_all = transport.packetizer.write_all
    transport.packetizer.write_all = lambda data: write_all(data[:-3])
    send(packet(5, "ssh-userauth"))
    raw.shutdown(socket.SHUT_WR)
elif mode == "channel-before-login":
    send(packet(90, "session", 0, 2097152, 32768))
elif mode == "request-before-service":
    send(packet(50, user, "ssh-connection", "none"))
elif mode == "unknown-service":
    send(packet(5, "ssh-strange@example.org"))
elif mode == "newkeys-alone":
    send(packet(21))
elif mode == "kex-reply-alone":
    send(packet(31, "x", "y", "z"))
elif mode == "login-success-to-server":
    send(packet(5, "ssh-userauth"))
    send(packet(52))
elif mode == "unknown-numbers":
    for kind in (200, 201, 255):
        send(packet(kind, "what is this"))
    send(packet(5, "ssh-userauth"))
elif mode == "short-open":
    log_in()
    send(packet(90, "session"))
elif mode == "data-for-no-channel":
    log_in()
    send(packet(94, 77, "data"))
elif mode == "answer-unasked":
    log_in()
    send(packet(81))
elif mode == "unknown-method":
    send(packet(5, "ssh-userauth"))
    send(packet(50, user, "ssh-connection", "strange@example.org", "more"))
elif mode == "open-many":
    log_in()

    def pour():
        try:
            for number in range(count):
                send(packet(90, "session", number, 2097152, 32768))
        except (EOFError, OSError):
            pass

    threading.Thread(target=pour, daemon=True).start()
elif mode == "many-none":
    send(packet(5, "ssh-userauth"))
    try:
        for _ in range(count):
            send(packet(50, user, "ssh-connection", "none"))
    except (EOFError, OSError):
        pass
elif mode == "rekey-flood":
    log_in()
    try:
        for _ in range(count):
            transport.renegotiate_keys()
    except (EOFError, OSError, paramiko.SSHException):
        pass
else:
    sys.exit("unknown mode " + mode)



def settled():
    """What the mode was about has been answered, though the connection lives."""
    if mode == "open-many":
        return seen.count(91) + seen.count(92) >= count
    wanted = {"unknown-method": 51}.get(mode)
    return wanted is not None and wanted in seen


while transport.is_alive() and time.monotonic() < deadline and not settled():
    time.sleep(0.02)
print(json.dumps({"answers": seen[:1000], "opened": seen.count(91), "disconnect": reason, "ended": not transport.is_alive()}))
sys.stdout.flush()
os._exit(0)
