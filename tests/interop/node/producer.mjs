// Adds jobs of every kind over the given queues and prints each one that Redis acknowledged.
//
//   node producer.mjs --redis URL --queues a,b [--version 5|6] [--jobs N] [--kinds standard,lifo,...]
//                     [--attempts N] [--in-flight N] [--pad BYTES] [--prefix bull]
//
// Prints {"queue","id","name","kind","n"} for each job, {"done":N} at the end.
// data is {"n","kind","echo","tenantId"}; kinds that retry also carry "failures", the number of
// attempts that are to fail. The name of a job is its kind.
import { connect, list, load, parseArguments, say } from './client.mjs';

const values = parseArguments({ queues: 'email', jobs: 100, 'in-flight': 50, pad: 0 });

/** kind → what is special about it, by running number. */
const KINDS = {
  standard: () => ({}),
  delayed: (n) => ({ opts: { delay: 20 + (n % 10) * 20 } }),
  prioritized: (n) => ({ opts: { priority: 1 + (n % 10) } }),
  'delayed-prioritized': (n) => ({ opts: { delay: 20 + (n % 5) * 20, priority: 1 + (n % 3) } }),
  lifo: () => ({ opts: { lifo: true } }),
  custom: (n) => ({ opts: { jobId: `custom-${n}` } }),
  'retry-at-once': () => ({ opts: { attempts: 3 }, data: { failures: 1 } }),
  'retry-fixed': () => ({ opts: { attempts: 3, backoff: { type: 'fixed', delay: 50 } }, data: { failures: 1 } }),
  'retry-exponential': () => ({
    opts: { attempts: 4, backoff: { type: 'exponential', delay: 20 } },
    data: { failures: 2 },
  }),
  'retry-number': () => ({ opts: { attempts: 2, backoff: 30 }, data: { failures: 1 } }),
  'keep-none': () => ({ opts: { removeOnComplete: true, removeOnFail: true } }),
  'keep-all': () => ({ opts: { removeOnComplete: false, removeOnFail: false } }),
  'keep-count': () => ({ opts: { removeOnComplete: 5, removeOnFail: 5 } }),
  'keep-age': () => ({ opts: { removeOnComplete: { age: 3600, count: 50 }, removeOnFail: { age: 3600 } } }),
};
const BULK = 20;

const kinds = list(values.kinds ?? [...Object.keys(KINDS), 'bulk'].join());
const unknown = kinds.filter((kind) => kind !== 'bulk' && !KINDS[kind]);
if (unknown.length > 0) {
  throw new Error(`unknown kinds ${unknown}; there are ${Object.keys(KINDS)} and bulk`);
}

const { Queue } = await load(values);
const queues = list(values.queues).map((name) => new Queue(name, connect(values)));

function describe(kind, n) {
  const special = kind === 'bulk' ? {} : KINDS[kind](n);
  const data = { n, kind, echo: `value ${n} æøå 🎉`, tenantId: `t${n % 3}`, ...special.data };
  if (Number(values.pad) > 0) {
    data.pad = 'x'.repeat(Number(values.pad));
  }
  const opts = { ...special.opts };
  if (values.attempts !== undefined && opts.attempts === undefined) {
    opts.attempts = Number(values.attempts);
  }
  return { name: kind, data, opts };
}

const acknowledged = (queue, job) =>
  say({ queue: queue.name, id: job.id, name: job.name, kind: job.data.kind, n: job.data.n });

/** Turn by turn: which queue, which kind, and the numbers of the jobs (a bulk has several). */
const plan = [];
for (let n = 0; n < Number(values.jobs); ) {
  const kind = kinds[Math.floor(plan.length / queues.length) % kinds.length];
  const size = Math.min(kind === 'bulk' ? BULK : 1, Number(values.jobs) - n);
  plan.push({ queue: queues[plan.length % queues.length], kind, numbers: Array.from({ length: size }, (_, i) => n + i) });
  n += size;
}

async function add({ queue, kind, numbers }) {
  if (kind === 'bulk') {
    const jobs = await queue.addBulk(numbers.map((n) => describe(kind, n)));
    jobs.forEach((job) => acknowledged(queue, job));
    return;
  }
  const { name, data, opts } = describe(kind, numbers[0]);
  acknowledged(queue, await queue.add(name, data, opts));
}

let next = 0;
async function lane() {
  while (next < plan.length) {
    await add(plan[next++]);
  }
}
await Promise.all(Array.from({ length: Number(values['in-flight']) }, lane));
await Promise.all(queues.map((queue) => queue.close()));
say({ done: Number(values.jobs) });
