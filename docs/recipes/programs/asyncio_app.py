"""An asyncio application: echoes lines, and reports each."""

import asyncio
import signal

from livedebug_sender import Sender, Track

sender = Sender.from_env()


async def echo(reader, writer):
    while line := await reader.readline():
        # No await and no thread: it puts the payload into a queue, and returns at once.
        message = line.decode().strip()
        sender.enqueue(Track.LOGS, {"service": "echo", "message": message, "debugger": {}})
        writer.write(line)
        await writer.drain()
    writer.close()


async def shut_down():
    # close waits for the network, so it must not be called on the event loop's thread.
    return await asyncio.to_thread(sender.close, 3.0)


async def main():
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    print("port", server.sockets[0].getsockname()[1], flush=True)
    await stop.wait()
    server.close()
    await shut_down()


if __name__ == "__main__":
    asyncio.run(main())
