"""A BullMQ worker that shares queues with the one under test, until a line arrives on stdin.

    python worker.py --redis URL --queues a,b [--concurrency N] [--name w1] [--work MS]
                     [--lock MS] [--stalled MS]

Prints {"event":"ready"}, {"event":"processed","queue","id","name","attempt"} when a job begins, and
{"event":"stopped","processed":N}. Returns {"by":"python","n":data.n}; fails the first data.failures attempts.
"""

import asyncio
import sys

from bullmq import Worker
from client import arguments, options, say


async def main():
    parser = arguments(__doc__)
    parser.add_argument("--concurrency", type=int, default=1)
    parser.add_argument("--name")
    parser.add_argument("--work", type=int, default=0)
    parser.add_argument("--lock", type=int, default=30000)
    parser.add_argument("--stalled", type=int, default=30000)
    values = parser.parse_args()
    processed = 0

    def processor(queue):
        async def process(job, token):
            nonlocal processed
            processed += 1
            say(event="processed", queue=queue, id=job.id, name=job.name, attempt=job.attemptsMade + 1)
            if values.work:
                await asyncio.sleep(values.work / 1000)
            if job.attemptsMade < job.data.get("failures", 0):
                raise RuntimeError(f"told to fail attempt {job.attemptsMade + 1}")
            return {"by": "python", "n": job.data.get("n")}

        return process

    more = {"concurrency": values.concurrency, "lockDuration": values.lock, "stalledInterval": values.stalled}
    if values.name:
        more["name"] = values.name
    workers = [Worker(queue, processor(queue), options(values, **more)) for queue in values.queues]
    say(event="ready")
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    for worker in workers:
        await worker.close()
    say(event="stopped", processed=processed)


asyncio.run(main())
