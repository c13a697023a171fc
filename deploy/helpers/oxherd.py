#!/usr/bin/env python3
"""Runs a Python function as a process of an oxherd pool (docs/handlers/helpers.md). Python 3.9 or newer, nothing else.

    python3 oxherd.py MODULE:FUNCTION [--slots N] [--stdio]
    python3 oxherd.py path/to/file.py:FUNCTION [--slots N] [--stdio]

The function takes (job) or (job, context) and may be async. What it returns is the job's result; an exception is a
retry. --slots: jobs it may be given at once [default: 1]; functions that are not async run in as many threads.
--stdio: frames on standard input and output instead of descriptors 3 and 4. What the function prints goes to standard
error.

    def work(job):
        job.log(f"hello {job['name']}")        # job is also its data, where that is an object
        job.update_progress(50)
        if job.cancelled:
            return None                        # asked to stop: timeout, shutdown, on request
        return {"pages": 12}

`from oxherd import Defer, UnrecoverableError` works in the module; any exception class of these names does.
"""

import asyncio
import concurrent.futures
import importlib
import importlib.util
import inspect
import itertools
import json
import os
import queue
import sys
import threading
import traceback
from collections.abc import Mapping



class UnrecoverableError(Exception):
    """Fails the job for good, whatever attempts are left."""


class Defer(Exception):
    """Puts the job off, without charging an attempt: seconds from now."""

    def __init__(self, seconds=30, reason="put off"):
        super().__init__(reason)
        self.seconds = seconds


class Discard(Exception):
    """Not wanted any more: completes the job, counted apart."""


class WaitForChildren(Exception):
    """To go on when the job's children have ended."""


class Cancelled(Exception):
    """For functions that stop because they were told to."""


class AppError(Exception):
    """Something asked for of what stands beside the queues was not done."""


def Key(entity, operation, variant=None, **ids):
    """The key of a value of the cache."""
    key = {"entity": entity, "operation": operation, "ids": ids}
    return key if variant is None else {**key, "variant": variant}


class App:
    """What stands beside the queues (docs/app.md): whatever is asked for is done by the daemon. In an async function
    everything here is to be awaited."""

    def __init__(self, job):
        self._job = job
        self.cache = Cache(self)
        self.sessions = Sessions(self)
        self.limiter = Limiter(self)
        self.presence = Presence(self)

    def call(self, op, args=None):
        """One operation, as docs/app.md lists them."""
        return self._then(op, args or {}, lambda told: told)

    def _ask(self, op, args):
        return self._job._wire.ask(self._job._ref, op, args)

    def _then(self, op, args, read):
        answer = self._ask(op, args)
        if self._job._is_async:
            return self._awaited(answer, read)
        return read(answer.result())

    async def _awaited(self, answer, read):
        return read(await asyncio.wrap_future(answer))


class Cache:
    """Values that can be made again. Keys are made by Key(...)."""

    def __init__(self, app):
        self._app = app

    def get(self, key, default=None):
        """The value; None where it is known that there is nothing, the default where nothing is known."""
        return self._app._then("cache.get", {"key": key}, lambda told: told["value"] if told["found"] else default)

    def get_many(self, keys, default=None):
        """Several values, in the order asked for."""

        def read(told):
            return [one["value"] if one["found"] else default for one in told]

        return self._app._then("cache.getMany", {"keys": list(keys)}, read)

    def set(self, key, value, ttl=None, tags=()):
        """Stores a value, for so many seconds at most."""
        args = {"key": key, "value": value, **kept(ttl, tags)}
        return self._app._then("cache.set", args, lambda told: None)

    def delete(self, *keys):
        """Deletes values; how many there were."""
        return self._app._then("cache.delete", {"keys": keys}, lambda told: told["deleted"])

    def delete_tag(self, tag):
        """Deletes the values that bear a tag; how many there were."""
        return self._app._then("cache.deleteTag", {"tag": tag}, lambda told: told["deleted"])

    def get_or_set(self, key, make, ttl=None, tags=()):
        """The value, made by make() where it is not there, once for all processes that ask for it."""
        args = {"key": key, **kept(ttl, tags)}
        if self._app._job._is_async:
            return self._get_or_set(args, make)
        begun = self._app._ask("cache.begin", args).result()
        if begun["found"]:
            return begun["value"]
        try:
            value = make()
        except BaseException:
            self._app._ask("cache.leave", {"ticket": begun["ticket"]})
            raise
        self._app._ask("cache.fill", {"ticket": begun["ticket"], "value": value}).exception()
        return value  # whoever made it has it, stored or not

    async def _get_or_set(self, args, make):
        begun = await asyncio.wrap_future(self._app._ask("cache.begin", args))
        if begun["found"]:
            return begun["value"]
        try:
            value = make()
            if inspect.isawaitable(value):
                value = await value
        except BaseException:
            self._app._ask("cache.leave", {"ticket": begun["ticket"]})
            raise
        filled = asyncio.wrap_future(self._app._ask("cache.fill", {"ticket": begun["ticket"], "value": value}))
        await asyncio.wait([filled])
        filled.exception()
        return value


class Sessions:
    """Log-in sessions. A session is a dict: user, device, createdAt, seenAt, endsAt, data; None where there is none."""

    def __init__(self, app):
        self._app = app

    def create(self, user, data=None, ttl=None, max_age=None, limit=None, at_limit=None):
        """A dict of id, device and madeRoom; None when the user has all that are allowed. Times in seconds."""
        policy = {"ttl": ttl and milliseconds(ttl), "maxAge": max_age and milliseconds(max_age)}
        policy.update(limit=limit, atLimit=at_limit)
        return self._app.call("session.create", {"user": user, "data": data, "policy": policy})

    def read(self, id):
        return self._app.call("session.read", {"id": id})

    def touch(self, id):
        return self._app.call("session.touch", {"id": id})

    def update(self, id, data):
        return self._app.call("session.update", {"id": id, "data": data})

    def revoke(self, id):
        return self._app._then("session.revoke", {"id": id}, lambda told: told["revoked"] == 1)

    def revoke_device(self, user, device):
        args = {"user": user, "device": device}
        return self._app._then("session.revokeDevice", args, lambda told: told["revoked"] == 1)

    def revoke_all(self, user, but=None):
        """Ends all of a user, but for the one with the id given; how many."""
        return self._app._then("session.revokeAll", {"user": user, "but": but}, lambda told: told["revoked"])

    def list(self, user):
        return self._app.call("session.list", {"user": user})

    def count(self, user):
        return self._app._then("session.count", {"user": user}, lambda told: told["count"])


class Limiter:
    """Limits on requests. What is answered is a dict: allowed, remaining, retryAfterMs, resetMs."""

    def __init__(self, app):
        self._app = app

    def check(self, user, action, max, per, **more):
        """At most max in per seconds. More: kind="bucket", burst, cost, strict."""
        return self._call("limit.check", user, action, max, per, more)

    def peek(self, user, action, max, per, **more):
        return self._call("limit.peek", user, action, max, per, more)

    def reset(self, user, action, max, per, **more):
        return self._call("limit.reset", user, action, max, per, more)

    def _call(self, op, user, action, max, per, more):
        return self._app.call(op, {"user": user, "action": action, "max": max, "per": milliseconds(per), **more})


class Presence:
    """Who is there."""

    def __init__(self, app):
        self._app = app

    def beat(self, room, member, connection, ttl, data=None):
        """A dict: whether the member has come with it (changed), and its connections. ttl in seconds."""
        args = {"room": room, "member": member, "connection": connection, "ttl": milliseconds(ttl)}
        return self._app.call("presence.beat", args if data is None else {**args, "data": data})

    def leave(self, room, member, connection=None):
        """One connection leaves, or all of the member."""
        return self._app.call("presence.leave", {"room": room, "member": member, "connection": connection})

    def list(self, room, most=None):
        return self._app.call("presence.list", {"room": room, "most": most})

    def count(self, room):
        return self._app._then("presence.count", {"room": room}, lambda told: told["count"])

    def online(self, room, members):
        return self._app.call("presence.online", {"room": room, "members": [*members]})


def kept(ttl, tags):
    return {"tags": list(tags), **({} if ttl is None else {"ttl": milliseconds(ttl)})}


class Job(Mapping):
    """One job. Its attributes are those of the envelope; as a mapping it is its data."""

    def __init__(self, frame, wire, is_async=False):
        head = frame["job"]
        self._ref, self._wire, self._is_async = frame["ref"], wire, is_async
        self.app = App(self)
        self._cancel = threading.Event()
        self._reason = None
        self._task = None
        self.id = head["id"]
        self.queue = head["queue"]
        self.name = head["name"]
        self.attempt = head["attempt"]
        self.max_attempts = head.get("maxAttempts")
        self.created_at = head.get("createdAt")
        self.deadline = frame.get("deadline", head.get("deadline"))
        self.priority = head.get("priority", 0)
        self.tenant = head.get("tenant")
        self.schedule = head.get("schedule")
        self.scheduled_at = head.get("scheduledAt")
        self.idempotency_key = frame.get("idempotencyKey")
        self.data = frame.get("data")
        self.children = frame.get("children")
        self.frame = frame

    def __getitem__(self, name):
        return self.data[name]

    def __iter__(self):
        return iter(self.data if isinstance(self.data, dict) else ())

    def __len__(self):
        return len(self.data) if isinstance(self.data, dict) else 0

    def __bool__(self):
        return True

    def __eq__(self, other):
        return self is other

    def __hash__(self):
        return id(self)

    def __repr__(self):
        return f"<Job {self.id!r} {self.name!r} of {self.queue!r}, attempt {self.attempt}>"

    def _say(self, kind, **members):
        self._wire.send({"t": kind, "ref": self._ref, **members})

    def update_progress(self, value):
        """How far the job is: any JSON, usually a number up to 100."""
        self._say("progress", value=value)

    def log(self, line):
        """Adds a line to the job's log."""
        self._say("log", line=str(line))

    def update_data(self, data):
        """Replaces the job's stored data, for the next attempt."""
        self.data = data
        self._say("data", data=data)

    def add_children(self, children):
        """Adds children in the shape of BullMQ's FlowProducer; end with WaitForChildren to wait for them."""
        self._say("children", children=list(children))

    def extend(self, seconds):
        """Moves the deadline to so long from now."""
        self._say("extend", by=milliseconds(seconds))

    @property
    def cancelled(self):
        """Whether the job is to stop: look now and then, stop the work and return."""
        return self._cancel.is_set()

    @property
    def cancel_reason(self):
        return self._reason

    def wait_cancelled(self, seconds=None):
        """Sleeps until the job is to stop, so long at most; answers whether it is."""
        return self._cancel.wait(seconds)

    def raise_if_cancelled(self):
        if self.cancelled:
            raise Cancelled(f"told to stop: {self._reason}")

    def told_to_stop(self, reason):
        self._reason = reason
        self._cancel.set()
        if self._task is not None:
            self._task.cancel()


def milliseconds(seconds):
    return f"{max(0, round(float(seconds) * 1000))}ms"


class Wire:
    """Frames out, by a thread of their own: all that waits goes in one write."""

    def __init__(self, descriptor):
        self._descriptor = descriptor
        self._lines = queue.Queue(maxsize=10_000)  # who says more has to wait
        self._asked = {}
        self._numbers = itertools.count(1)
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    def send(self, frame):
        # ASCII: whatever is in a text, it cannot break a frame
        self._lines.put(json.dumps(frame, separators=(",", ":"), allow_nan=False) + "\n")

    def ask(self, ref, op, args):
        """Asks the daemon for something; a future of what it answers."""
        n, answer = next(self._numbers), concurrent.futures.Future()
        self._asked[n] = (ref, answer)
        try:
            self.send({"t": "app", "ref": ref, "n": n, "op": op, "args": args})
        except BaseException:
            del self._asked[n]
            raise
        return answer

    def told(self, frame):
        """What the daemon answers."""
        _, answer = self._asked.pop(frame.get("n"), (None, None))
        if answer is None or not answer.set_running_or_notify_cancel():
            return
        if "error" in frame:
            answer.set_exception(AppError(frame["error"]))
        else:
            answer.set_result(frame.get("result"))

    def forget(self, ref):
        """Nothing that was asked for a job is answered any more."""
        for n in [n for n, (of, _) in list(self._asked.items()) if of == ref]:
            self._asked.pop(n, None)

    def close(self):
        """Writes what waits."""
        self._lines.put(None)
        self._thread.join()

    def _write(self):
        is_open = True
        while is_open:
            lines = [self._lines.get()]
            while len(lines) < 1000:
                try:
                    lines.append(self._lines.get_nowait())
                except queue.Empty:
                    break
            if None in lines:
                is_open = False
                lines = lines[: lines.index(None)]
            left = memoryview("".join(lines).encode())
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except OSError:
                    os._exit(0)  # nobody listens any more


class Pool:
    """Runs jobs as they come, and says how they ended."""

    def __init__(self, function, slots, wire):
        self._function, self._wire = function, wire
        self._takes_context = takes_context(function)
        self._is_async = inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(
            getattr(function, "__call__", None)
        )
        self._jobs = {}
        self._running = set()
        self._lock = threading.Lock()
        self._draining = threading.Event()
        self._drained = threading.Event()
        if self._is_async:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True).start()
        else:
            self._threads = concurrent.futures.ThreadPoolExecutor(slots, thread_name_prefix="job")

    def start(self, frame):
        job = Job(frame, self._wire, self._is_async)
        with self._lock:
            self._jobs[job._ref] = job
        if self._is_async:
            self._loop.call_soon_threadsafe(self._begin, job)
        else:
            self._threads.submit(self._run, job)

    def cancel(self, ref, reason):
        with self._lock:
            job = self._jobs.get(ref)
        if job is None:
            return
        if self._is_async:
            self._loop.call_soon_threadsafe(job.told_to_stop, reason)
        else:
            job.told_to_stop(reason)

    def drain(self):
        """Returns when the last job has ended."""
        with self._lock:
            self._draining.set()
            if not self._jobs:
                self._drained.set()
        self._drained.wait()

    def _begin(self, job):
        running = self._loop.create_task(self._run_async(job))
        self._running.add(running)  # the loop itself keeps none alive
        running.add_done_callback(self._running.discard)

    def _run(self, job):
        try:
            result = self._function(job, job) if self._takes_context else self._function(job)
            ended = {"t": "done", "result": result}
        except BaseException as error:  # SystemExit too: a job does not end its neighbours
            ended = failure(error)
        self._end(job, ended)

    async def _run_async(self, job):
        try:
            if job.cancelled:
                raise asyncio.CancelledError
            # a task of its own: one that is cancelled before it begins would say nothing of its end
            job._task = asyncio.ensure_future(self._function(job, job) if self._takes_context else self._function(job))
            result = await job._task
            ended = {"t": "done", "result": result}
        except BaseException as error:
            ended = failure(error, job)
        self._end(job, ended)

    def _end(self, job, ended):
        frame = {"t": ended.pop("t"), "ref": job._ref, **ended}
        try:
            self._wire.send(frame)
        except (TypeError, ValueError, RecursionError) as error:
            self._wire.send({"t": "fail", "ref": job._ref, "message": f"the result is not JSON: {error}"})
        self._wire.forget(job._ref)
        with self._lock:
            del self._jobs[job._ref]
            if self._draining.is_set() and not self._jobs:
                self._drained.set()


def failure(error, job=None):
    """What an exception means, known by the name of its class."""
    name = type(error).__name__
    message = str(error) or name
    stated = {"t": "fail", "message": message}
    if name == "Defer":
        return {**stated, "outcome": "defer", "after": milliseconds(getattr(error, "seconds", 30))}
    if name == "Discard":
        return {**stated, "outcome": "discard"}
    if name == "WaitForChildren":
        return {**stated, "outcome": "waiting-children"}
    if isinstance(error, asyncio.CancelledError):
        why = job.cancel_reason if job else None
        return {**stated, "message": f"told to stop: {why}" if why else "cancelled"}
    if name == "UnrecoverableError":
        stated["outcome"] = "fail"
    stack = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return {**stated, "stack": stack.rstrip()}


def takes_context(function):
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
    return len([p for p in positional if p.default is p.empty]) >= 2


def load(name):
    place, colon, path = name.rpartition(":")
    if not colon or not place or not path:
        raise ImportError(f"expected MODULE:FUNCTION or file.py:FUNCTION, got {name!r}")
    if place.endswith(".py") or os.sep in place:
        place = os.path.abspath(place)
        if not os.path.exists(place):
            raise ImportError(f"no file {place}")
        sys.path.insert(0, os.path.dirname(place))
        spec = importlib.util.spec_from_file_location(os.path.splitext(os.path.basename(place))[0], place)
        module = importlib.util.module_from_spec(spec)
        sys.modules.setdefault(spec.name, module)
        spec.loader.exec_module(module)
    else:
        sys.path.insert(0, os.getcwd())
        module = importlib.import_module(place)
    function = module
    for part in path.split("."):
        try:
            function = getattr(function, part)
        except AttributeError:
            raise ImportError(f"{place} has no {path}") from None
    if not callable(function):
        raise ImportError(f"{name} is {type(function).__name__}, expected a function")
    return function


def arguments(words):
    found, slots, stdio = None, 1, False
    words = list(words)
    while words:
        word = words.pop(0)
        option, equals, value = word.partition("=")
        if word == "--stdio":
            stdio = True
        elif option == "--slots":
            value = value if equals else (words.pop(0) if words else "")
            if not value.isascii() or not value.isdigit() or int(value) < 1:
                usage("--slots expects a whole number of at least 1")
            slots = int(value)
        elif word.startswith("--"):
            usage(f"unknown option {word}")
        elif found is not None:
            usage(f"one function expected, got also {word}")
        else:
            found = word
    if found is None:
        usage("no function given")
    return found, slots, stdio


def usage(problem):
    print(f"oxherd.py: {problem}\nusage: python3 oxherd.py MODULE:FUNCTION [--slots N] [--stdio]", file=sys.stderr)
    raise SystemExit(2)


def main():
    name, slots, stdio = arguments(sys.argv[1:])
    if stdio:
        # what the function or a program it starts prints must not get between the frames
        frames_in, frames_out = os.dup(0), os.dup(1)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(2, 1)
    else:
        frames_in, frames_out = 3, 4
        os.set_inheritable(3, False)
        os.set_inheritable(4, False)
    sys.stdout = sys.stderr
    # the function's module finds these classes by import oxherd, from wherever this file is
    sys.modules["oxherd"] = sys.modules[__name__]
    wire = Wire(frames_out)
    wire.send({"t": "hello", "proto": 1, "slots": slots})
    try:
        function = load(name)
    except BaseException:
        print(f"oxherd.py: cannot load {name}", file=sys.stderr)
        traceback.print_exc()
        wire.close()
        sys.stderr.flush()
        os._exit(1)
    pool = Pool(function, slots, wire)
    wire.send({"t": "ready"})

    with os.fdopen(frames_in, "rb", buffering=64 * 1024) as lines:
        for line in lines:
            if line.isspace():
                continue
            try:
                frame = json.loads(line)
            except ValueError as error:
                print(f"oxherd.py: a frame that is not JSON: {error}", file=sys.stderr)
                continue
            kind = frame.get("t")
            if kind == "job":
                pool.start(frame)
            elif kind == "ping":
                wire.send({"t": "pong", "n": frame.get("n")})
            elif kind == "cancel":
                pool.cancel(frame.get("ref"), frame.get("reason"))
            elif kind == "app":
                wire.told(frame)
            elif kind == "drain":
                threading.Thread(target=depart, args=(pool, wire), daemon=True).start()
    # the daemon is gone, and somebody else will run what runs here
    sys.stderr.flush()
    os._exit(0)


def depart(pool, wire):
    pool.drain()
    wire.send({"t": "bye"})
    wire.close()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    main()
