"""An endpoint that verifies what oxherd signs with the public standardwebhooks library, and tells what it found.

    python webhook.py --old whsec_… --new TEXT --other whsec_…

The twin of webhook.mjs: prints {"event":"ready","url"}, and answers a POST to /old, /new or /other.
"""

import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from client import arguments, say
from standardwebhooks import Webhook, WebhookVerificationError

parser = arguments(__doc__)
for name in ("--old", "--new", "--other"):
    parser.add_argument(name)
values = parser.parse_args()
KNOWN = {"/old": Webhook(values.old), "/new": Webhook(values.new.encode()), "/other": Webhook(values.other)}


def accepts(webhook, body, headers):
    try:
        webhook.verify(body, headers)
        return True
    except WebhookVerificationError:
        return False


def changed(text, at):
    return text[:at] + ("2" if text[at] == "1" else "1") + text[at + 1 :]


class Endpoint(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"])).decode()
        webhook = KNOWN[self.path]
        headers = {name.lower(): value for name, value in self.headers.items()}
        verified = accepts(webhook, body, headers)
        other = {
            "id": changed(headers["webhook-id"], 10),
            "timestamp": str(int(headers["webhook-timestamp"]) - 1),
            "signature": "v1,",
        }
        found = {
            "verified": verified,
            "body": accepts(webhook, changed(body, body.index('"id":"') + 6), headers),
            **{part: accepts(webhook, body, {**headers, f"webhook-{part}": value}) for part, value in other.items()},
            "signatures": len(headers["webhook-signature"].split(" ")),
        }
        jobs = json.loads(body).get("jobs")
        if jobs:
            found = {"results": [{"id": job["job"]["id"], "result": {**found, "batch": len(jobs)}} for job in jobs]}
        answer = json.dumps(found).encode()
        self.send_response(200 if verified else 401)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_):
        pass


server = ThreadingHTTPServer(("127.0.0.1", 0), Endpoint)
threading.Thread(target=server.serve_forever, daemon=True).start()
say(event="ready", url=f"http://127.0.0.1:{server.server_address[1]}")
sys.stdin.readline()
