"""A process that speaks the protocol of process pools, and breaks it where told to.

    python3 child.py FAULT [SLOTS] [stdio]

FAULT "none" breaks nothing. Every job takes 30 ms, whatever it is.
"""

import json
import os
import sys
import threading
import time

fault = sys.argv[1]
slots = int(sys.argv[2]) if len(sys.argv) > 2 else 1
stdio = "stdio" in sys.argv
frames_in, frames_out = (0, 1) if stdio else (3, 4)
lock = threading.Lock()
running = {}
draining = False
talks = False


def say(**frame):
    write(json.dumps(frame))


def write(line):
    with lock:
        os.write(frames_out, line.encode() + b"\n")


def leave(code=0):
    say(t="bye")
    if fault == "says something after bye":
        say(t="pong", n=1)
    os._exit(5 if fault == "exits with 5" else code)


def work(ref, data, then_talks):
    time.sleep(0.03)
    if running.pop(ref, None) is None:
        return
    if fault == "says nothing of the end":
        return
    if fault == "breaks lines" and isinstance(data, dict) and data.get("conformance") == "odd":
        write('{"t":"log","ref":"%s","line":"%s"}' % (ref, data["text"]))
    if fault == "prints beside the frames":
        write("done with " + ref)
    if fault == "ends jobs twice":
        say(t="done", ref=ref, result=None)
    if fault == "ends what it was not given":
        say(t="done", ref="a999", result=None)
    if fault == "waits for a moment nobody knows":
        say(t="fail", ref=ref, outcome="defer", after="soon")
    else:
        say(t="done", ref=ref, result={"ok": True})
    while then_talks:
        time.sleep(0.02)
        say(t="ready")
    if draining and not running:
        leave()


def start(frame):
    ref = frame["ref"]
    if fault == "takes one job only" and running:
        return
    running[ref] = True
    threading.Thread(target=work, args=(ref, frame["data"], talks), daemon=True).start()


if fault == "never says hello":
    time.sleep(60)
if fault == "dies at the start":
    os._exit(3)
if fault == "is ready before hello":
    say(t="ready")
say(t="hello", proto=2 if fault == "speaks another version" else 1, slots=0 if fault == "has no slot" else slots)
if fault == "is never ready":
    time.sleep(60)
say(t="ready")

begun = b""
while True:
    chunk = os.read(frames_in, 1 << 16)
    if not chunk:
        if fault == "outlives its input" or (fault == "outlives its input with a job" and running):
            time.sleep(60)
        os._exit(0)
    *lines, begun = (begun + chunk).split(b"\n")
    if fault == "knows no long lines" and len(begun) > 1 << 18:
        os._exit(1)
    for line in filter(None, lines):
        frame = json.loads(line)
        kind = frame.get("t")
        if kind == "job":
            if fault == "minds members it does not know" and "someday" in frame:
                os._exit(1)
            start(frame)
        elif kind == "ping":
            if fault == "answers no ping" or (fault == "answers no ping with a job" and running):
                continue
            say(t="pong", n=0 if fault == "answers another ping" else frame["n"])
        elif kind == "cancel":
            # from the end of the next job on
            talks = fault == "talks while idle" and frame["ref"] not in running
            if frame["ref"] in running or fault == "ends what has ended":
                running.pop(frame["ref"], None)
                if fault != "forgets a cancelled job":
                    say(t="fail", ref=frame["ref"], message="cancelled")
        elif kind == "drain":
            draining = True
            if fault == "leaves without bye":
                os._exit(0)
            if not running or fault == "leaves with a job":
                leave()
        elif fault == "minds frames it does not know":
            os._exit(1)
