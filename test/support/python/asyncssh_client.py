"""asyncssh as a client: reads cases as lines of JSON, writes a result for each, as paramiko_client.py does."""
import asyncio
import hashlib
import json
import sys

import asyncssh
from asyncssh.encryption import get_encryption_algs
from asyncssh.kex import get_kex_algs
from asyncssh.mac import get_mac_algs
from asyncssh.public_key import get_public_key_algs

if sys.argv[1:] == ["--list"]:
    print(json.dumps({
        "kex": [name.decode() for name in get_kex_algs()],
        "cipher": [name.decode() for name in get_encryption_algs()],
        "mac": [name.decode() for name in get_mac_algs()],
        "hostKeyAlgorithm": [name.decode() for name in get_public_key_algs()],
    }))
    sys.exit()

data = hashlib.sha256(b"seed").digest() * 10000


async def run(case):
    options = {"kex": "kex_algs", "cipher": "encryption_algs", "mac": "mac_algs", "hostKeyAlgorithm": "server_host_key_algs"}
    chosen = {option: [case[field]] for field, option in options.items() if case.get(field)}
    known = asyncssh.import_known_hosts("".join("* %s\n" % key for key in case["hostKeyLines"]))
    connection = await asyncssh.connect(
        case["host"],
        case["port"],
        username=case["user"],
        client_keys=[case["identity"]],
        known_hosts=known,
        agent_path=None,
        config=None,
        rekey_bytes=100000,
        **chosen
    )
    async with connection:
        result = await connection.run("cat", input=data, encoding=None)
        if result.stdout != data:
            raise ValueError("%d bytes came back of %d" % (len(result.stdout), len(data)))
        if result.exit_status != 0:
            raise ValueError("exit status %r" % result.exit_status)
        return "%s %s" % (connection.get_extra_info("send_cipher"), connection.get_extra_info("send_mac"))


async def main():
    for line in sys.stdin:
        case = json.loads(line)
        result = {"id": case["id"], "error": None, "negotiated": ""}
        try:
            result["negotiated"] = await asyncio.wait_for(run(case), 60)
        except Exception as error:
            result["error"] = "%s: %s" % (type(error).__name__, error)
        print(json.dumps(result), flush=True)


asyncio.run(main())
