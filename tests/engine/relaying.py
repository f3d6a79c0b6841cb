"""`python -m tests.engine.relaying ADDRESS TARGET`: passes on what comes to a port to another, or to a Unix socket."""

import asyncio
import sys


async def relay(address: str, target: str) -> None:
    """Print the port, then pass everything on in both directions."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if target.isdigit():
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", int(target))
        else:
            far_reader, far_writer = await asyncio.open_unix_connection(target)
        await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer), return_exceptions=True)

    server = await asyncio.start_server(serve, address, 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


if __name__ == "__main__":
    asyncio.run(relay(*sys.argv[1:]))
