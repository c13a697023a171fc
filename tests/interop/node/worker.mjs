// A BullMQ Worker that shares queues with the one under test, until a line arrives on stdin.
//
//   node worker.mjs --redis URL --queues a,b [--version 5|6] [--concurrency N] [--name w1] [--work MS]
//                   [--lock MS] [--stalled MS] [--max-stalled N] [--limit MAX/MS] [--keep N] [--quiet]
//
// Prints {"event":"ready"}, {"event":"processed","queue","id","name","attempt"} when a job begins,
// {"event":"completed"|"failed"|"stalled","queue","id"}, and {"event":"stopped","processed":N}; with
// --quiet only the first and the last.
//
// What it does with a job is in the job's data: waits `work` ms (else --work), reports each of `progress`,
// logs each of `logs`, and
//   failures N      fails the first N attempts; with `fatal` the first of them is the last
//   later MS        puts the first start off by so long, without an attempt
//   offspring […]   adds these trees, as FlowProducer takes them, at its first start and waits for them
// It returns {"by":"node","n":data.n}, and for data with `reads` also "children" and "ignored": the values of its
// children and the reasons of failures it is not to mind.
import { setTimeout as pause } from 'node:timers/promises';
import { connect, list, load, parseArguments, say, toldToStop } from './client.mjs';

const values = parseArguments({ queues: 'email', concurrency: 1, work: 0, lock: 30000, stalled: 30000 });
const { DelayedError, FlowProducer, UnrecoverableError, WaitingChildrenError, Worker } = await load(values);
let flows; // opened by the first job that has offspring

const options = {
  ...connect(values),
  concurrency: Number(values.concurrency),
  lockDuration: Number(values.lock),
  stalledInterval: Number(values.stalled),
};
if (values.name) {
  options.name = values.name;
}
if (values['max-stalled']) {
  options.maxStalledCount = Number(values['max-stalled']);
}
if (values.limit) {
  const [max, duration] = values.limit.split('/').map(Number);
  options.limiter = { max, duration };
}
if (values.keep !== undefined) {
  options.removeOnComplete = { count: Number(values.keep) };
  options.removeOnFail = { count: Number(values.keep) };
}

const tell = values.quiet ? () => {} : say;
let processed = 0;

async function work(queue, job, token) {
  processed += 1;
  tell({ event: 'processed', queue, id: job.id, name: job.name, attempt: job.attemptsMade + 1 });
  const data = job.data ?? {};
  if (data.later && job.attemptsStarted === 1) {
    await job.moveToDelayed(Date.now() + data.later, token);
    throw new DelayedError();
  }
  const ms = Number(data.work ?? values.work);
  if (ms > 0) {
    await pause(ms);
  }
  for (const value of data.progress ?? []) {
    await job.updateProgress(value);
  }
  for (const row of data.logs ?? []) {
    await job.log(row);
  }
  if (job.attemptsMade < (data.failures ?? 0)) {
    const message = `told to fail attempt ${job.attemptsMade + 1}`;
    throw data.fatal ? new UnrecoverableError(message) : new Error(message);
  }
  if (data.offspring && job.attemptsStarted === 1) {
    flows ??= new FlowProducer(connect(values));
    const parent = { id: job.id, queue: job.queueQualifiedName };
    await Promise.all(data.offspring.map((child) => flows.add({ ...child, opts: { ...child.opts, parent } })));
  }
  if (data.offspring && (await job.moveToWaitingChildren(token))) {
    throw new WaitingChildrenError();
  }
  const value = { by: 'node', n: data.n };
  if (data.reads) {
    value.children = Object.values(await job.getChildrenValues());
    value.ignored = Object.values(await job.getIgnoredChildrenFailures());
  }
  return value;
}

const workers = list(values.queues).map((queue) => {
  const worker = new Worker(queue, (job, token) => work(queue, job, token), options);
  worker.on('completed', (job) => tell({ event: 'completed', queue, id: job.id }));
  worker.on('failed', (job, error) => tell({ event: 'failed', queue, id: job?.id, message: error.message }));
  worker.on('stalled', (id) => tell({ event: 'stalled', queue, id }));
  worker.on('error', (error) => tell({ event: 'error', queue, message: error.message }));
  return worker;
});
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
say({ event: 'ready' });
await toldToStop();
await Promise.all([...workers.map((worker) => worker.close()), flows?.close()]);
say({ event: 'stopped', processed });
