"""The application behind the gateways: tells what it was sent, and remembers it."""

import hashlib
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Application:
    """Listens on a free loopback port; `seen` is what has come through since `forget`."""

    def __init__(self):
        self.seen = []
        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.application = self
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def forget(self):
        """Starts a new list of what was seen."""
        self.seen = []

    def stop(self):
        """Closes the port."""
        self.server.shutdown()


class Server(ThreadingHTTPServer):
    """A thread for each connection; gateways keep theirs open."""

    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A gateway may reset a connection that it no longer needs; all else is told."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


class Handler(BaseHTTPRequestHandler):
    """Answers any method with a description of the request; /status/NNN with that status."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        """Remembers and echoes the request."""
        body = self.read_body()
        request = {
            "method": self.command,
            "path": self.path,
            "headers": [[name.lower(), value] for name, value in self.headers.items()],
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
        }
        self.server.application.seen.append(request)
        status = 200
        if self.path.startswith("/status/"):
            status = int(self.path.removeprefix("/status/"))
        self.reply(status, json.dumps(request).encode())

    def reply(self, status, text):
        """Writes the answer."""
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(text)

    def read_body(self):
        """The body by Content-Length or chunked coding; Transfer-Encoding wins (RFC 9112 6.3)."""
        if "chunked" not in self.headers.get("Transfer-Encoding", "").lower():
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return body

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

    def log_message(self, *_):
        """Silent: `seen` is the log."""
