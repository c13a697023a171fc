"""What the programs of this folder share: common arguments and JSON lines."""

import argparse
import json
import re
import sys


def arguments(description):
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--redis", default="redis://127.0.0.1:6379")
    parser.add_argument("--prefix", default="bull")
    parser.add_argument("--queues", default="email", type=lambda text: [q for q in text.split(",") if q])
    return parser


def options(values, **more):
    """Options every BullMQ object takes; a unix socket is spelled redis+unix:///path."""
    url = re.sub(r"^redis\+unix://", "unix://", values.redis)
    return {"connection": url, "prefix": values.prefix, **more}


def say(**fields):
    sys.stdout.write(json.dumps(fields, ensure_ascii=False, separators=(",", ":")) + "\n")
    sys.stdout.flush()
