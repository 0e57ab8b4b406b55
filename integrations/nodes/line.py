"""A TCP line that can be slow, and lead elsewhere."""

import asyncio
import threading


class Line:
    """Listens on a free loopback port and passes on to `port`; `delay` in seconds counts for each direction."""

    def __init__(self, port):
        self.target, self.delay, self.port = port, 0.0, None
        self.open = set()
        self.loop = asyncio.new_event_loop()
        is_up = threading.Event()
        threading.Thread(target=self.run, args=(is_up,), daemon=True).start()
        is_up.wait()

    def run(self, is_up):
        """The thread of the loop."""
        server = self.loop.run_until_complete(asyncio.start_server(self.accept, "127.0.0.1", 0))
        self.port = server.sockets[0].getsockname()[1]
        is_up.set()
        self.loop.run_forever()

    def lead_to(self, port):
        """New connections go there; those that are open end."""
        self.target = port
        self.loop.call_soon_threadsafe(lambda: [writer.transport.abort() for writer in list(self.open)])

    def stop(self):
        """Ends it."""
        self.loop.call_soon_threadsafe(self.loop.stop)

    async def accept(self, reader, writer):
        """One connection and its other half."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self.open |= ends
        await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
        self.open -= ends

    async def pump(self, reader, writer):
        """One direction, until its end."""
        try:
            while part := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(part)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()
