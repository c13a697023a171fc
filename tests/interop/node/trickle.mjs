// Adds lone jobs at random intervals, waits for each and prints how long it took to start.
//
//   node trickle.mjs --redis URL --queue q [--version 5|6] [--jobs N] [--gap MS] [--delay MS]
//
// Prints {"n","id","late"}: milliseconds from when the job could have been started, which is up to --delay after it was
// added, until it was. The next job is added up to --gap after that. Both times are random.
import { setTimeout as pause } from 'node:timers/promises';
import { connect, load, parseArguments, say } from './client.mjs';

const values = parseArguments({ queue: 'email', jobs: 50, gap: 100, delay: 0 });
const { Queue, QueueEvents } = await load(values);
const queue = new Queue(values.queue, connect(values));
const events = new QueueEvents(values.queue, connect(values));
await Promise.all([queue.waitUntilReady(), events.waitUntilReady()]);

for (let n = 0; n < Number(values.jobs); n += 1) {
  const delay = Math.ceil(Math.random() * Number(values.delay));
  const job = await queue.add('lone', { n }, { delay });
  await job.waitUntilFinished(events);
  const { timestamp, processedOn } = await queue.getJob(job.id);
  say({ n, id: job.id, by: delay, late: processedOn - timestamp - delay });
  await pause(Math.random() * Number(values.gap));
}
await Promise.all([queue.close(), events.close()]);
