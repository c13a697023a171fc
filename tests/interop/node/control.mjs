// Presses buttons of a queue and prints {"ok":true,"result"} for each.
//
//   node control.mjs pause|resume      --redis URL --queue q [--version 5|6]
//   node control.mjs concurrency N     global; 0 removes it
//   node control.mjs rate-limit MAX MS global; 0 removes it
//   node control.mjs add NAME JSON [OPTS-JSON]
//   node control.mjs add-flow JSON     a tree as FlowProducer takes it
//   node control.mjs upsert SID REPEAT-JSON [TEMPLATE-JSON]
//   node control.mjs remove-scheduler SID
//   node control.mjs schedulers        what getJobSchedulers answers
//   node control.mjs retry|promote|remove ID …
//   node control.mjs obliterate
//   node control.mjs serve             prints {"event":"ready"}, then presses what each line of stdin says,
//                                      the words as a JSON array, until "stop"
import { connect, eachLine, load, parseArguments, say } from './client.mjs';

const values = parseArguments({ queue: 'email' });
const { FlowProducer, Queue } = await load(values);
const queue = new Queue(values.queue, connect(values));
let flows; // opened by the first tree

const each = (ids, act) =>
  Promise.all(
    ids.map(async (id) => {
      const job = await queue.getJob(id);
      if (!job) {
        throw new Error(`job ${id} does not exist in ${queue.name}`);
      }
      await act(job);
      return id;
    }),
  );

const VERBS = {
  pause: () => queue.pause(),
  resume: () => queue.resume(),
  concurrency: (n) => (Number(n) > 0 ? queue.setGlobalConcurrency(Number(n)) : queue.removeGlobalConcurrency()),
  'rate-limit': (max, ms) =>
    Number(max) > 0 ? queue.setGlobalRateLimit(Number(max), Number(ms)) : queue.removeGlobalRateLimit(),
  add: async (name, data = '{}', opts = '{}') => (await queue.add(name, JSON.parse(data), JSON.parse(opts))).id,
  'add-flow': async (tree) => {
    flows ??= new FlowProducer(connect(values));
    return (await flows.add(JSON.parse(tree))).job.id;
  },
  upsert: async (id, repeat, template = '{}') =>
    (await queue.upsertJobScheduler(id, JSON.parse(repeat), JSON.parse(template)))?.id,
  'remove-scheduler': (id) => queue.removeJobScheduler(id),
  schedulers: () => queue.getJobSchedulers(),
  retry: (...ids) => each(ids, (job) => job.retry()),
  promote: (...ids) => each(ids, (job) => job.promote()),
  remove: (...ids) => each(ids, (job) => job.remove()),
  obliterate: () => queue.obliterate({ force: true }),
};

async function press([verb, ...words]) {
  if (!VERBS[verb]) {
    throw new Error(`unknown verb ${verb}; there are ${Object.keys(VERBS)}`);
  }
  say({ ok: true, result: (await VERBS[verb](...words)) ?? null });
}

if (values._[0] === 'serve') {
  await queue.waitUntilReady();
  say({ event: 'ready' });
  await eachLine((line) => press(JSON.parse(line)));
} else {
  await press(values._);
}
await Promise.all([queue.close(), flows?.close()]);
