"""Adds jobs over the given queues and prints each one that Redis acknowledged.

    python add.py --redis URL --queues a,b [--jobs N]

Prints {"queue","id","name","kind","n"} for each job and {"done":N} at the end; data is
{"n","kind","echo","tenantId"}, and "failures" where attempts are to fail.
"""

import asyncio

from bullmq import Queue
from client import arguments, options, say

KINDS = {
    "standard": lambda n: {},
    "delayed": lambda n: {"delay": 20 + n % 10 * 20},
    "prioritized": lambda n: {"priority": 1 + n % 10},
    "lifo": lambda n: {"lifo": True},
    "custom": lambda n: {"jobId": f"custom-{n}"},
    "retry-fixed": lambda n: {"attempts": 3, "backoff": {"type": "fixed", "delay": 50}},
    "keep-none": lambda n: {"removeOnComplete": True},
    "bulk": lambda n: {},
}
BULK = 10


def describe(kind, n):
    data = {"n": n, "kind": kind, "echo": f"value {n} æøå 🎉", "tenantId": f"t{n % 3}"}
    if kind == "retry-fixed":
        data["failures"] = 1
    return data, KINDS[kind](n)


async def main():
    parser = arguments(__doc__)
    parser.add_argument("--jobs", type=int, default=100)
    values = parser.parse_args()
    queues = [Queue(name, options(values)) for name in values.queues]
    kinds = list(KINDS)

    n = turn = 0
    while n < values.jobs:
        queue, kind = queues[turn % len(queues)], kinds[turn // len(queues) % len(kinds)]
        turn += 1
        numbers = range(n, min(values.jobs, n + (BULK if kind == "bulk" else 1)))
        n += len(numbers)
        jobs = [(number, *describe(kind, number)) for number in numbers]
        if kind == "bulk":
            added = await queue.addBulk([{"name": kind, "data": data, "opts": opts} for _, data, opts in jobs])
        else:
            added = [await queue.add(kind, data, opts) for _, data, opts in jobs]
        for (number, _, _), job in zip(jobs, added, strict=True):
            say(queue=queue.name, id=job.id, name=kind, kind=kind, n=number)
    for queue in queues:
        await queue.close()
    say(done=values.jobs)


asyncio.run(main())
