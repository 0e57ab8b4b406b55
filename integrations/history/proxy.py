"""A way to the database that can be cut, that can hang, and whose connections can be reset."""

import asyncio
import contextlib
import socket
import struct
import threading

# Closing sends RST: neither side is told that anything ended well.
ABRUPTLY = struct.pack("ii", 1, 0)


class Proxy:
    """One way from a node to `target`, a pair of host and port; it listens on `port`."""

    def __init__(self, target):
        self.target = target
        self.is_cut = False
        self.ends = set()
        self.loop = asyncio.new_event_loop()
        threading.Thread(target=self.loop.run_forever, daemon=True).start()
        self.port = asyncio.run_coroutine_threadsafe(self.listen(), self.loop).result()

    async def listen(self):
        """Takes connections; the port they come to."""
        self.flows = asyncio.Event()
        self.flows.set()
        server = await asyncio.start_server(self.carry, "127.0.0.1", 0)
        return server.sockets[0].getsockname()[1]

    async def carry(self, reader, writer):
        """One connection, both ways, until either side ends it."""
        self.ends.add(writer)
        try:
            await self.flows.wait()
            if self.is_cut:
                return
            far_reader, far_writer = await asyncio.open_connection(*self.target)
            self.ends.add(far_writer)
            try:
                await asyncio.gather(self.pump(reader, far_writer), self.pump(far_reader, writer))
            finally:
                self.abort(far_writer)
        except OSError:
            pass
        finally:
            self.abort(writer)

    async def pump(self, reader, writer):
        """One direction. What hangs is passed on later, also when its sender has gone, and that it has gone."""
        data = None
        while data != b"":
            data = await reader.read(65536)
            await self.flows.wait()
            writer.write(data)
            await writer.drain()
        writer.close()

    def abort(self, writer):
        """Ends one side at once."""
        self.ends.discard(writer)
        with contextlib.suppress(OSError):
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, ABRUPTLY)
        writer.transport.abort()

    def reset(self):
        """Ends all connections; new ones work."""
        self.loop.call_soon_threadsafe(lambda: [self.abort(writer) for writer in list(self.ends)])

    def cut(self):
        """Ends all connections and every new one."""
        self.is_cut = True
        self.reset()

    def hang(self):
        """Keeps connections open and passes nothing on."""
        self.loop.call_soon_threadsafe(self.flows.clear)

    def heal(self):
        """Works again; what hung is passed on."""
        self.is_cut = False
        self.loop.call_soon_threadsafe(self.flows.set)
