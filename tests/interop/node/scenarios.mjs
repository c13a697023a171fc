// Plays a fixed set of scenarios, each on queues of its own, and prints what QueueEvents heard of each.
//
//   node scenarios.mjs --redis URL [--version 5|6] [--added-elsewhere]
//
// Prints {"event":"added","queues"} when all is added that waits for no worker, then waits for a line on stdin:
// by then somebody works every queue, one job at a time, as the data of the jobs says (see worker.mjs). Presses the
// buttons that need a worker, waits until all queues are at rest, and prints {"queue","events":[…]} for each queue,
// every event with its name and fields in order. Moments are replaced by a word, so that two runs can be compared.
//
// What comes first of each scenario is in scenarios.json, by queue: {"queue":[{"name","data","opts"}…]}, and trees as
// FlowProducer takes them. With --added-elsewhere somebody has added it already.
import { readFile } from 'node:fs/promises';
import { setTimeout as pause } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { connect, load, parseArguments, say, toldToStop } from './client.mjs';

const values = parseArguments();
const { FlowProducer, Queue, QueueEvents } = await load(values);
const { jobs, trees } = JSON.parse(await readFile(new URL('scenarios.json', import.meta.url)));

const queuesOf = (tree) => [tree.queueName, ...(tree.children ?? []).flatMap(queuesOf)];
const meanwhile = ['delayed', 'debounce', 'keep-last', 'buttons', 'paused'];
const names = [...new Set([...Object.keys(jobs), ...trees.flatMap(queuesOf), ...meanwhile])];
const queues = Object.fromEntries(names.map((name) => [name, new Queue(name, connect(values))]));

if (!values['added-elsewhere']) {
  const flows = new FlowProducer(connect(values));
  for (const [name, list] of Object.entries(jobs)) {
    for (const { name: job, data, opts } of list) {
      await queues[name].add(job, data, opts);
    }
  }
  for (const tree of trees) {
    await flows.add(tree);
  }
  await flows.close();
}
say({ event: 'added', queues: names });
await toldToStop();

/** Asks again and again until it is so. */
async function until(what, isSo) {
  const begin = Date.now();
  while (!(await isSo())) {
    if (Date.now() - begin > 30_000) {
      throw new Error(`not within 30 s: ${what}`);
    }
    await pause(20);
  }
}

const atRest = (name) =>
  until(`${name} is at rest`, async () => {
    const counts = await queues[name].getJobCounts('waiting', 'active', 'delayed', 'prioritized');
    return Object.values(counts).every((count) => count === 0);
  });
const allAtRest = () => Promise.all(names.map(atRest));
const state = (queue, id, wanted) => until(`${id} is ${wanted}`, async () => (await queue.getJobState(id)) === wanted);

/** Scenarios that need a worker at work. */
const MEANWHILE = {
  async delayed(queue) {
    await queue.add('soon', { n: 1 }, { delay: 100 });
    await queue.add('urgent later', { n: 2 }, { delay: 600, priority: 3 });
    await queue.add('last', { n: 3 }, { delay: 1100 });
    await atRest(queue.name);
  },
  async debounce(queue) {
    const deduplication = { id: 'typing', ttl: 2000, extend: true, replace: true };
    for (const n of [1, 2, 3]) {
      await queue.add('search', { n }, { delay: 300, deduplication });
    }
    await atRest(queue.name);
  },
  async 'keep-last'(queue) {
    const deduplication = { id: 'build', keepLastIfActive: true };
    const first = await queue.add('build', { n: 1, work: 400 }, { deduplication });
    await state(queue, first.id, 'active');
    await queue.add('build', { n: 2 }, { deduplication });
    await queue.add('build', { n: 3 }, { deduplication });
    await state(queue, first.id, 'completed');
    await atRest(queue.name);
  },
  async buttons(queue) {
    const failed = await queue.add('fails once', { n: 1, failures: 1 });
    await state(queue, failed.id, 'failed');
    await failed.retry();
    await state(queue, failed.id, 'completed');
    const delayed = await queue.add('promoted', { n: 2 }, { delay: 60_000 });
    await delayed.changeDelay(50_000);
    await delayed.promote();
    await state(queue, delayed.id, 'completed');
    const removed = await queue.add('removed', { n: 3 }, { delay: 60_000 });
    await removed.remove();
    await queue.clean(0, 1, 'completed');
  },
  async paused(queue) {
    await queue.pause();
    await queue.add('first', { n: 1 });
    await queue.add('second', { n: 2 }, { priority: 1 });
    await queue.resume();
    await atRest(queue.name);
  },
};

await allAtRest();
await Promise.all(meanwhile.map((name) => MEANWHILE[name](queues[name])));
await allAtRest();

/** Moments differ from run to run, and so does what a handler says around the reason it is given. */
function normal(event, fields) {
  const same = { event, ...fields };
  if (event === 'delayed') {
    same.delay = 'a moment';
  }
  const reason = /told to fail attempt \d/.exec(same.failedReason);
  if (reason) {
    same.failedReason = reason[0];
  }
  return same;
}

/** Hands on everything from the stream, whatever it is called. */
class Recorder extends QueueEvents {
  heard = [];
  emit(event, ...rest) {
    const id = rest[rest.length - 1];
    if (/^\d+-\d+$/.test(id) && !event.includes(':')) {
      this.heard.push(normal(event, rest.length > 1 ? rest[0] : {}));
    }
    return super.emit(event, ...rest);
  }
}

const redis = new Redis(connect(values).connection);
await Promise.all(
  names.map(async (name) => {
    const recorder = new Recorder(name, { ...connect(values), lastEventId: '0-0' });
    await recorder.waitUntilReady();
    const length = await redis.xlen(queues[name].toKey('events'));
    await until(`all events of ${name} are heard`, async () => recorder.heard.length >= length);
    say({ queue: name, events: recorder.heard });
    await Promise.all([recorder.close(), queues[name].close()]);
  }),
);
await redis.quit();
