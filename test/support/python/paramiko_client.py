"""paramiko as a client: reads cases as lines of JSON, writes a result for each. With --list: the algorithms it knows.

A case: {"id", "host", "port", "user", "identity", "hostKey": [type, base64], "kex", "cipher", "mac", "hostKeyAlgorithm"}; the last
four may be absent. A result: {"id", "error": null or text, "negotiated": text}.
"""
import hashlib
import json
import os
import socket
import sys
import threading

import paramiko

if sys.argv[1:] == ["--list"]:
    print(json.dumps({
        "kex": list(paramiko.Transport._preferred_kex),
        "cipher": list(paramiko.Transport._preferred_ciphers),
        "mac": list(paramiko.Transport._preferred_macs),
        "hostKeyAlgorithm": list(paramiko.Transport._preferred_keys),
    }))
    sys.exit()

data = hashlib.sha256(b"seed").digest() * 10000


def load(path):
    for kind in (paramiko.Ed25519Key, paramiko.ECDSAKey, paramiko.RSAKey):
        try:
            return kind.from_private_key_file(path)
        except paramiko.SSHException:
            pass
    raise ValueError("no key in " + path)


def run(case):
    transport = paramiko.Transport(socket.create_connection((case["host"], case["port"]), timeout=30))
    transport.daemon = True
    try:
        options = transport.get_security_options()
        for name, field in (("kex", "kex"), ("ciphers", "cipher"), ("digests", "mac"), ("key_types", "hostKeyAlgorithm")):
            if case.get(field):
                setattr(options, name, (case[field],))
        transport.start_client(timeout=30)
        shown = transport.get_remote_server_key().get_base64()
        if shown not in case["hostKeys"]:
            raise ValueError("an unknown host key was shown")
        transport.auth_publickey(case["user"], load(case["identity"]))
        channel = transport.open_session(timeout=30)
        channel.settimeout(60)
        channel.exec_command("cat")

        def write():
            half = len(data) // 2
            channel.sendall(data[:half])
            transport.renegotiate_keys()
            channel.sendall(data[half:])
            channel.shutdown_write()

        writer = threading.Thread(target=write, daemon=True)
        writer.start()
        got = b""
        while True:
            chunk = channel.recv(65536)
            if not chunk:
                break
            got += chunk
        if got != data:
            raise ValueError("%d bytes came back of %d" % (len(got), len(data)))
        status = channel.recv_exit_status()
        if status != 0:
            raise ValueError("exit status %d" % status)
        return "%s %s" % (transport.local_cipher, transport.local_mac)
    finally:
        transport.close()


for line in sys.stdin:
    case = json.loads(line)
    result = {"id": case["id"], "error": None, "negotiated": ""}
    try:
        result["negotiated"] = run(case)
    except Exception as error:
        result["error"] = "%s: %s" % (type(error).__name__, error)
    print(json.dumps(result), flush=True)
os._exit(0)
