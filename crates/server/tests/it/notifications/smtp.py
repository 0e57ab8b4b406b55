"""A mail server on loopback that keeps what it is given: one JSON line for each mail.

    smtp.py FILE PORT [--tls CERT KEY] [--login NAME PASSWORD]

Mail to an address that begins with "nobody" is refused for good, with "busy" for now.
"""

import argparse
import email
import email.policy
import json
import ssl
import time

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

parser = argparse.ArgumentParser()
parser.add_argument("file")
parser.add_argument("port", type=int)
parser.add_argument("--tls", nargs=2)
parser.add_argument("--login", nargs=2)
options = parser.parse_args()


class Keep:
    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if address.startswith("nobody"):
            return "550 5.1.1 there is nobody of this name"
        if address.startswith("busy"):
            return "451 4.3.2 come back later"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        kept = {
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "headers": [[name, str(value)] for name, value in mail.items()],
            "subject": str(mail["Subject"]),
            "text": mail.get_content(),
            "tls": session.ssl is not None,
            "login": session.auth_data.login.decode() if session.authenticated else None,
        }
        with open(options.file, "a", encoding="utf-8") as file:
            file.write(json.dumps(kept) + "\n")
        return "250 2.0.0 kept"


def check(server, session, envelope, mechanism, data):
    name, password = (text.encode() for text in options.login)
    fits = isinstance(data, LoginPassword) and (data.login, data.password) == (name, password)
    return AuthResult(success=fits, auth_data=data, handled=False)


more = {}
if options.tls:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*options.tls)
    more.update(tls_context=context, require_starttls=True)
if options.login:
    more.update(authenticator=check, auth_required=True, auth_require_tls=bool(options.tls))
Controller(Keep(), hostname="127.0.0.1", port=options.port, **more).start()
while True:
    time.sleep(60)
