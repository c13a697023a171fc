// The npm worker with a processor that does nothing; modes and arguments as in ../rust/src/main.rs.
import { createInterface } from 'node:readline';
import { setTimeout as pause } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { FlowProducer, Queue, Worker } from 'bullmq';

const [mode, ...words] = process.argv.slice(2);
const values = {};
for (let i = 0; i < words.length; i += 2) {
  values[words[i].slice(2)] = words[i + 1];
}
const url = new URL(values.redis);
const connection = { host: url.hostname, port: Number(url.port), maxRetriesPerRequest: null };
const options = (concurrency) => ({ connection, concurrency, removeOnComplete: { count: 0 } });
const microseconds = () => Number(process.hrtime.bigint() / 1000n);

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** A worker that is not started yet, and the end of its last job. */
function counting(jobs) {
  let count = 0;
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const worker = new Worker(
    values.queue,
    async () => {
      count += 1;
      if (count === jobs) {
        finish();
      }
    },
    { ...options(Number(values.concurrency)), autorun: false },
  );
  return { worker, finished };
}

async function drain() {
  const jobs = Number(values.jobs);
  const { worker, finished } = counting(jobs);
  await worker.waitUntilReady();
  console.log('ready');
  await lines.next();
  const start = microseconds();
  worker.run();
  await finished;
  console.log(JSON.stringify({ jobs, seconds: (microseconds() - start) / 1e6 }));
}

const payload = () => ({ n: 1, pad: 'x'.repeat(Math.max(Number(values.payload) - 16, 0)) });

/** Calls `act` for all starts of batches below `total`, `width` of them at once. */
async function batches(total, size, width, act) {
  let next = 0;
  const work = async () => {
    while (next < total) {
      const from = next;
      next += size;
      await act(Math.min(size, total - from));
    }
  };
  await Promise.all(Array.from({ length: width }, work));
}

async function add() {
  const jobs = Number(values.jobs);
  const queue = new Queue(values.queue, { connection });
  await queue.waitUntilReady();
  const data = payload();
  console.log('ready');
  await lines.next();
  const start = microseconds();
  await batches(jobs, 1000, 4, (size) => queue.addBulk(Array.from({ length: size }, () => ({ name: 'bench', data }))));
  console.log(JSON.stringify({ jobs, seconds: (microseconds() - start) / 1e6 }));
}

async function flows() {
  const children = 10;
  const parents = Number(values.jobs);
  const producer = new FlowProducer({ connection });
  const { worker, finished } = counting(parents * (children + 1));
  await Promise.all([producer.waitUntilReady(), worker.waitUntilReady()]);
  const data = payload();
  const job = (name) => ({ name, queueName: values.queue, data });
  const flow = () => ({ ...job('parent'), children: Array.from({ length: children }, () => job('child')) });
  console.log('ready');
  await lines.next();
  let start = microseconds();
  await batches(parents, 50, 4, (size) => producer.addBulk(Array.from({ length: size }, flow)));
  const addSeconds = (microseconds() - start) / 1e6;
  start = microseconds();
  worker.run();
  await finished;
  console.log(JSON.stringify({ addSeconds, seconds: (microseconds() - start) / 1e6 }));
}

async function latency() {
  const jobs = Number(values.jobs);
  const taken = [];
  let finish;
  const finished = new Promise((resolve) => (finish = resolve));
  const queue = new Queue(values.queue, { connection });
  const worker = new Worker(
    values.queue,
    async (job) => {
      taken.push(microseconds() - job.data.t);
      if (taken.length === jobs) {
        finish();
      }
    },
    options(10),
  );
  await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()]);
  console.log('ready');
  await lines.next();
  const start = microseconds();
  const pad = 'x'.repeat(Number(values.payload));
  for (let n = 0; n < jobs; n += 1) {
    const wait = (start + n * Number(values['interval-us']) - microseconds()) / 1000;
    if (wait >= 1) {
      await pause(wait);
    }
    await queue.add('bench', { t: microseconds(), pad });
  }
  await finished;
  taken.sort((a, b) => a - b);
  const at = (share) => taken[Math.min(Math.floor(taken.length * share), taken.length - 1)];
  console.log(JSON.stringify({ jobs, p50: at(0.5), p99: at(0.99) }));
}

/** BullMQ's sandbox: the processor file in child processes. Works until stdin ends. */
async function sandbox() {
  const processor = fileURLToPath(new URL('./processor.cjs', import.meta.url));
  const worker = new Worker(values.queue, processor, options(Number(values.concurrency)));
  await worker.waitUntilReady();
  console.log('ready');
}

async function idle() {
  const workers = Array.from(
    { length: Number(values.queues) },
    (_, n) => new Worker(`idle${n}`, async () => {}, options(5)),
  );
  await Promise.all(workers.map((worker) => worker.waitUntilReady()));
  console.log('ready');
  await lines.next();
}

await { drain, latency, idle, add, flows, sandbox }[mode]();
await lines.next();
process.exit(0);
