"""A proxy between browser and server that keeps every answer, to be looked through afterwards."""

import http.client
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

# Of one connection, or of a coding that could not be looked through.
LEFT_OUT = {"accept-encoding", "connection", "content-length", "keep-alive", "proxy-connection", "transfer-encoding"}


class Recorder:
    """Listens from its making on; `answers` holds method, address, status and body of each."""

    def __init__(self):
        self.answers = []
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler(self.answers))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def flags(self):
        """What a browser needs to send everything through it, also what is for this machine."""
        return [f"--proxy-server=http://127.0.0.1:{self.server.server_port}", "--proxy-bypass-list=<-loopback>"]

    def stop(self):
        """Ends it."""
        self.server.shutdown()
        self.server.server_close()


def handler(answers):
    """A class that passes requests on to this machine, and to nowhere else."""

    class Handler(BaseHTTPRequestHandler):
        """One connection of the browser."""

        protocol_version = "HTTP/1.1"

        def pass_on(self):
            """One request, and its answer back."""
            to = urlsplit(self.path)
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if to.hostname not in ("localhost", "127.0.0.1"):
                self.send_error(502)
                return
            status, headers, text = forward(self.command, to, self.headers.items(), body)
            answers.append((self.command, to.path, status, text.decode(errors="replace")))
            self.send_response_only(status)
            for name, value in headers:
                if name.lower() not in LEFT_OUT:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = pass_on

        def log_message(self, *_):
            """Says nothing."""

    return Handler


def forward(method, to, headers, body):
    """Status, headers and body of what the server answers."""
    connection = http.client.HTTPConnection("127.0.0.1", to.port, timeout=20)
    try:
        target = f"{to.path}?{to.query}" if to.query else to.path
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers:
            if name.lower() not in LEFT_OUT:
                connection.putheader(name, value)
        if method == "POST":
            connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body if method == "POST" else None)
        answer = connection.getresponse()
        return answer.status, answer.getheaders(), answer.read()
    finally:
        connection.close()
