"""asyncssh as a server: argv[1] is JSON with "hostKeys" (paths by algorithm), "authorizedKeys" (text) and "cases".

Each case {"id", "kex", "cipher", "mac", "hostKeyAlgorithm"} gets a listener with those algorithms alone; its port is printed as JSON.
Every command gets its input back.
"""
import asyncio
import json
import sys

import asyncssh

plan = json.loads(sys.argv[1])
authorized = asyncssh.import_authorized_keys(plan["authorizedKeys"])


async def echo(process):
    while True:
        chunk = await process.stdin.read(65536)
        if not chunk:
            break
        process.stdout.write(chunk)
        await process.stdout.drain()
    process.stderr.write(b"to stderr\n")
    process.exit(7)


class Server(asyncssh.SSHServer):
    def begin_auth(self, username):
        return True

    def password_auth_supported(self):
        return True

    def validate_password(self, username, password):
        if password == "old":
            raise asyncssh.PasswordChangeRequired("Choose a new one")
        return password == "new"

    def change_password(self, username, old_password, new_password):
        return old_password == "old" and new_password == "new"


async def main():
    for case in plan["cases"]:
        fields = {"kex": "kex_algs", "cipher": "encryption_algs", "mac": "mac_algs"}
        chosen = {option: [case[field]] for field, option in fields.items() if case.get(field)}
        algorithm = case.get("hostKeyAlgorithm") or "ssh-ed25519"
        listener = await asyncssh.listen(
            "127.0.0.1",
            0,
            server_factory=Server,
            server_host_keys=[plan["hostKeys"][algorithm]],
            authorized_client_keys=authorized,
            process_factory=echo,
            encoding=None,
            rekey_bytes=100000,
            **chosen
        )
        print(json.dumps({"id": case["id"], "port": listener.sockets[0].getsockname()[1]}), flush=True)
    await asyncio.get_running_loop().create_future()


asyncio.run(main())
