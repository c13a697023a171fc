// A BullMQ Worker that shares queues with the one under test, until a line arrives on stdin.
//
//   node worker.mjs --redis URL --queues a,b [--version 5|6] [--concurrency N] [--name w1] [--work MS]
//                   [--lock MS] [--stalled MS] [--limit MAX/MS] [--keep N]
//
// Prints {"event":"ready"}, {"event":"processed","queue","id","name","attempt"} when a job begins,
// {"event":"completed"|"failed"|"stalled","queue","id"}, and {"event":"stopped","processed":N}.
// Returns {"by":"node","n":data.n}; fails the first data.failures attempts.
import { setTimeout as pause } from 'node:timers/promises';
import { connect, list, load, parseArguments, say, toldToStop } from './client.mjs';

const values = parseArguments({ queues: 'email', concurrency: 1, work: 0, lock: 30000, stalled: 30000 });
const { Worker } = await load(values);

const options = {
  ...connect(values),
  concurrency: Number(values.concurrency),
  lockDuration: Number(values.lock),
  stalledInterval: Number(values.stalled),
};
if (values.name) {
  options.name = values.name;
}
if (values.limit) {
  const [max, duration] = values.limit.split('/').map(Number);
  options.limiter = { max, duration };
}
if (values.keep !== undefined) {
  options.removeOnComplete = { count: Number(values.keep) };
  options.removeOnFail = { count: Number(values.keep) };
}

let processed = 0;
const workers = list(values.queues).map((queue) => {
  const worker = new Worker(
    queue,
    async (job) => {
      processed += 1;
      say({ event: 'processed', queue, id: job.id, name: job.name, attempt: job.attemptsMade + 1 });
      if (Number(values.work) > 0) {
        await pause(Number(values.work));
      }
      if (job.attemptsMade < (job.data?.failures ?? 0)) {
        throw new Error(`told to fail attempt ${job.attemptsMade + 1}`);
      }
      return { by: 'node', n: job.data?.n };
    },
    options,
  );
  worker.on('completed', (job) => say({ event: 'completed', queue, id: job.id }));
  worker.on('failed', (job, error) => say({ event: 'failed', queue, id: job?.id, message: error.message }));
  worker.on('stalled', (id) => say({ event: 'stalled', queue, id }));
  worker.on('error', (error) => say({ event: 'error', queue, message: error.message }));
  return worker;
});
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
say({ event: 'ready' });
await toldToStop();
await Promise.all(workers.map((worker) => worker.close()));
say({ event: 'stopped', processed });
