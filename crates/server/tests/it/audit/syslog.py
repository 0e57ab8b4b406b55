"""A syslog receiver with TLS (RFC 5425) on loopback that appends what it reads to a file.

    syslog.py FILE PORT CERT KEY
"""

import socket
import ssl
import sys

file, port, cert, key = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(cert, key)
listener = socket.create_server(("127.0.0.1", int(port)))
while True:
    plain, _ = listener.accept()
    try:
        with context.wrap_socket(plain, server_side=True) as stream:
            read = b""
            while part := stream.recv(65536):
                read += part
            with open(file, "ab") as kept:
                kept.write(read)
    except OSError:
        plain.close()
