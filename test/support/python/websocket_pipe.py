"""stdin and stdout over a WebSocket: URL [CERTIFICATE-OF-AUTHORITY [HEADER: VALUE]…]."""

import asyncio
import ssl
import sys

import websockets


async def main(url, authority=None, *headers):
    context = None
    if url.startswith("wss:"):
        context = ssl.create_default_context(cafile=authority)
    extra = [tuple(header.split(": ", 1)) for header in headers]
    async with websockets.connect(url, ssl=context, extra_headers=extra, max_size=2**20) as socket:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader()
        await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

        async def up():
            while chunk := await reader.read(65536):
                await socket.send(chunk)
            await socket.close()

        async def down():
            async for message in socket:
                sys.stdout.buffer.write(message)
                sys.stdout.buffer.flush()

        sending = asyncio.create_task(up())
        await down()
        sending.cancel()
        print("closed", socket.close_code, file=sys.stderr)


asyncio.run(main(*sys.argv[1:]))
