"""A mail server (aiosmtpd) that tells what it was handed, read by Python's own email package.

    python mailserver.py [--tls none|starttls|implicit --certificate FILE --key FILE] [--login USER:PASSWORD] [--answers JSON]

Answers are taken in turn and then 250: {"rcpt bo@example.net": ["450 4.2.0 greylisted"], "data": ["hang", "554 no"]}.
Prints {"event":"ready","port"} and {"event":"mail",…} for each mail it took, also for one it answers with no or with nothing.
"""

import asyncio
import base64
import email
import email.policy
import json
import ssl
import sys
import warnings

from aiosmtpd.smtp import SMTP, AuthResult
from client import arguments, say

warnings.simplefilter("ignore")
parser = arguments(__doc__)
parser.add_argument("--tls", default="none", choices=["none", "starttls", "implicit"])
parser.add_argument("--certificate")
parser.add_argument("--key")
parser.add_argument("--login")
parser.add_argument("--answers", default={}, type=json.loads)
values = parser.parse_args()


def answer(what):
    waiting = values.answers.get(what, [])
    return waiting.pop(0) if waiting else None


def part(part):
    content = part.get_payload(decode=True)
    is_text = part.get_content_maintype() == "text"
    return {
        "type": part.get_content_type(),
        "filename": part.get_filename(),
        "disposition": part.get_content_disposition(),
        "contentId": part["content-id"],
        "content": content.decode() if is_text else base64.b64encode(content).decode(),
    }


class Handler:
    async def handle_RCPT(self, server, session, envelope, address, options):
        no = answer(f"rcpt {address}")
        if no is None:
            envelope.rcpt_tos.append(address)
        return no or "250 2.1.5 ok"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        say(
            event="mail",
            sender=envelope.mail_from,
            recipients=envelope.rcpt_tos,
            tls=session.ssl is not None or values.tls == "implicit",
            login=session.auth_data,
            defects=[str(defect) for one in mail.walk() for defect in one.defects],
            headers={name.lower(): str(value) for name, value in mail.items()},
            shape=[one.get_content_type() for one in mail.walk()],
            parts=[part(one) for one in mail.walk() if not one.is_multipart()],
        )
        said = answer("data")
        if said == "hang":
            await asyncio.Event().wait()
        return said or "250 2.0.0 taken"


def log_in(server, session, envelope, mechanism, data):
    given = ":".join(word.decode() for word in (data.login, data.password))
    return AuthResult(success=given == values.login, auth_data=data.login.decode(), handled=False)


def protocol():
    settings = {"enable_SMTPUTF8": True, "loop": asyncio.get_event_loop()}
    if values.tls == "starttls":
        settings |= {"tls_context": context, "require_starttls": True}
    if values.login:
        # with implicit TLS aiosmtpd does not see that there is some
        settings |= {"authenticator": log_in, "auth_required": True, "auth_require_tls": values.tls == "starttls"}
    return SMTP(Handler(), **settings)


context = None
if values.tls != "none":
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(values.certificate, values.key)


async def main():
    loop = asyncio.get_running_loop()
    implicit = context if values.tls == "implicit" else None
    server = await loop.create_server(protocol, "127.0.0.1", 0, ssl=implicit)
    say(event="ready", port=server.sockets[0].getsockname()[1])
    await loop.run_in_executor(None, sys.stdin.readline)
    server.close()


asyncio.run(main())
