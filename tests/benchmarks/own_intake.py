"""A small intake: reads each request whole and answers 202. Where there is no nginx."""

from __future__ import annotations

import asyncio
import ssl
import sys

_ANSWER = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while head := await reader.readuntil(b"\r\n\r\n"):
            await _read_body(reader, head.lower())
            writer.write(_ANSWER)
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def _read_body(reader: asyncio.StreamReader, head: bytes) -> None:
    if b"transfer-encoding: chunked" in head:
        while size := int(await reader.readline(), 16):
            await reader.readexactly(size + 2)
        await reader.readline()
    elif b"content-length:" in head:
        left = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
        while left:
            left -= len(await reader.read(min(left, 1 << 18)))


async def main(plain: int, tls: int, certificate: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    servers = [
        await asyncio.start_server(_serve, "127.0.0.1", plain, limit=1 << 20),
        await asyncio.start_server(_serve, "127.0.0.1", tls, limit=1 << 20, ssl=context),
    ]
    await asyncio.gather(*(server.serve_forever() for server in servers))


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
