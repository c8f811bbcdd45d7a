"""The rival on asyncssh: a process of a client is one of the upstream's, its streams redirected by the library.

asyncssh-proxy.py HOSTKEY UPSTREAM-HOST UPSTREAM-PORT USER IDENTITY

Lets everyone with a public key in (who may log in is not what is measured), and prints its port.
"""

import asyncio
import sys

import asyncssh

host_key, upstream_host, upstream_port, user, identity = sys.argv[1:]


class Server(asyncssh.SSHServer):
    def public_key_auth_supported(self):
        return True

    def validate_public_key(self, username, key):
        return True


async def serve(near):
    async with asyncssh.connect(
        upstream_host, int(upstream_port), username=user, client_keys=[identity], known_hosts=None, config=[]
    ) as upstream:
        far = await upstream.create_process(
            near.command, encoding=None, stdin=near.stdin, stdout=near.stdout, stderr=near.stderr
        )
        await far.wait()
        near.exit(far.exit_status or 0)


async def main():
    listener = await asyncssh.listen(
        "127.0.0.1", 0, server_factory=Server, server_host_keys=[host_key], process_factory=serve, encoding=None
    )
    print(listener.sockets[0].getsockname()[1], flush=True)
    await listener.wait_closed()


asyncio.run(main())
