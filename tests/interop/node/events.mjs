// Listens with QueueEvents and prints what it hears, until a line arrives on stdin.
//
//   node events.mjs --redis URL --queues a,b [--version 5|6] [--from 0-0] [--only completed,failed]
//
// Prints {"event":"ready"}, then {"event","queue","id",…the event's own fields} for each event, and
// {"event":"stopped","heard":N}. Reads from the beginning of the stream unless --from says "$".
import { connect, list, load, parseArguments, say, toldToStop } from './client.mjs';

const HEARD = [
  'added', 'waiting', 'active', 'completed', 'failed', 'delayed', 'progress', 'stalled', 'drained', 'removed',
  'duplicated', 'deduplicated', 'retries-exhausted', 'paused', 'resumed', 'cleaned', 'waiting-children',
];

const values = parseArguments({ queues: 'email', from: '0-0', only: HEARD.join() });
const { QueueEvents } = await load(values);

let heard = 0;
const listeners = list(values.queues).map((queue) => {
  const events = new QueueEvents(queue, { ...connect(values), lastEventId: values.from });
  for (const event of list(values.only)) {
    events.on(event, (fields) => {
      const { jobId, ...rest } = fields ?? {};
      heard += 1;
      say({ event, queue, id: jobId, ...rest });
    });
  }
  events.on('error', (error) => say({ event: 'error', queue, message: error.message }));
  return events;
});
await Promise.all(listeners.map((events) => events.waitUntilReady()));
say({ event: 'ready' });
await toldToStop();
await Promise.all(listeners.map((events) => events.close()));
say({ event: 'stopped', heard });
