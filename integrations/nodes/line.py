"""A TCP line that can be slow, and lead elsewhere."""

import asyncio
import threading


class Line:
    """Listens on a free loopback port and passes on to `port`; `delay` in seconds counts for each direction."""

    def __init__(self, port):
        self.target, self.delay, self.port = port, 0.0, None
        self.open, self.is_up = set(), threading.Event()
        self.loop = self.is_over = None
        self.thread = threading.Thread(target=lambda: asyncio.run(self.serve()))
        self.thread.start()
        self.is_up.wait()

    async def serve(self):
        """Until `stop`."""
        self.loop, self.is_over = asyncio.get_running_loop(), asyncio.Event()
        server = await asyncio.start_server(self.accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self.is_up.set()
        await self.is_over.wait()
        server.close()
        while self.open:
            self.abort()
            await asyncio.sleep(0.01)

    def lead_to(self, port):
        """New connections go there; those that are open end."""
        self.target = port
        self.loop.call_soon_threadsafe(self.abort)

    def abort(self):
        """Ends every connection."""
        for writer in list(self.open):
            writer.transport.abort()

    def stop(self):
        """Ends it."""
        self.loop.call_soon_threadsafe(self.is_over.set)
        self.thread.join()

    async def accept(self, reader, writer):
        """One connection and its other half."""
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self.target)
        except OSError:
            writer.transport.abort()
            return
        ends = {writer, far_writer}
        self.open |= ends
        try:
            await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
        finally:
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
