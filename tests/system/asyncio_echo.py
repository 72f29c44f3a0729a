"""Fifty connections at once between an asyncio server and clients, checksums compared.

Arguments: our own address, and one of a host where port 1 is closed.
"""
import asyncio
import hashlib
import sys

own, other = sys.argv[1:]
CONNECTIONS = 50
SIZE = 1000000


async def handle(reader, writer):
    data = await reader.read()
    writer.write(hashlib.sha256(data).hexdigest().encode())
    await writer.drain()
    writer.close()


async def exchange(i):
    reader, writer = await asyncio.open_connection(own, 7004)
    data = bytes([i]) * SIZE
    writer.write(data)
    await writer.drain()
    writer.write_eof()
    answer = (await reader.read()).decode()
    writer.close()
    return answer == hashlib.sha256(data).hexdigest()


async def main():
    await asyncio.start_server(handle, None, 7004)
    good = await asyncio.gather(*[exchange(i) for i in range(CONNECTIONS)])
    print(sum(good), "connections")
    try:
        await asyncio.open_connection(other, 1)
    except ConnectionRefusedError:
        print("refused")

asyncio.run(main())
