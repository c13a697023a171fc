// Presses one button of a queue and prints {"ok":true,"result"}.
//
//   node control.mjs pause|resume      --redis URL --queue q [--version 5|6]
//   node control.mjs concurrency N     global; 0 removes it
//   node control.mjs rate-limit MAX MS global; 0 removes it
//   node control.mjs add NAME JSON [OPTS-JSON]
//   node control.mjs retry|promote|remove ID …
//   node control.mjs obliterate
import { connect, load, parseArguments, say } from './client.mjs';

const values = parseArguments({ queue: 'email' });
const [verb, ...words] = values._;
const { Queue } = await load(values);
const queue = new Queue(values.queue, connect(values));

const each = (act) =>
  Promise.all(
    words.map(async (id) => {
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
  concurrency: () =>
    Number(words[0]) > 0 ? queue.setGlobalConcurrency(Number(words[0])) : queue.removeGlobalConcurrency(),
  'rate-limit': () =>
    Number(words[0]) > 0
      ? queue.setGlobalRateLimit(Number(words[0]), Number(words[1]))
      : queue.removeGlobalRateLimit(),
  add: async () => (await queue.add(words[0], JSON.parse(words[1] ?? '{}'), JSON.parse(words[2] ?? '{}'))).id,
  retry: () => each((job) => job.retry()),
  promote: () => each((job) => job.promote()),
  remove: () => each((job) => job.remove()),
  obliterate: () => queue.obliterate({ force: true }),
};
if (!VERBS[verb]) {
  throw new Error(`unknown verb ${verb}; there are ${Object.keys(VERBS)}`);
}
const result = await VERBS[verb]();
say({ ok: true, result: result ?? null });
await queue.close();
