"""A file over asyncio's streams: "serve PORT FILE" sends it to whoever comes, "get ADDRESS PORT" writes it to standard output."""
import asyncio
import sys


async def serve(port, name):
    with open(name, "rb") as f:
        data = f.read()

    async def handle(reader, writer):
        for at in range(0, len(data), 1 << 18):
            writer.write(data[at:at + (1 << 18)])
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(handle, None, int(port))
    await server.serve_forever()


async def get(address, port):
    reader, writer = await asyncio.open_connection(address, int(port), limit=1 << 18)
    while data := await reader.read(1 << 18):
        sys.stdout.buffer.write(data)
    writer.close()

asyncio.run({"serve": serve, "get": get}[sys.argv[1]](*sys.argv[2:]))
