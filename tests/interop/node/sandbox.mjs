// BullMQ Workers that have files of processors/ done in the sandbox, one job at a time, until a line arrives on stdin.
//
//   node sandbox.mjs --redis URL --queues a=cases.cjs,b=esm.mjs [--version 5|6]
//
// Prints {"event":"ready"}.
import { fileURLToPath } from 'node:url';
import { connect, list, load, parseArguments, say, toldToStop } from './client.mjs';

const values = parseArguments({ queues: '' });
// for the processors, which are to find the same release
process.env.BULLMQ = values.version === '5' ? 'bullmq5' : 'bullmq';
const { Worker } = await load(values);
const workers = list(values.queues).map((pair) => {
  const [queue, file] = pair.split('=');
  const worker = new Worker(queue, fileURLToPath(new URL(`processors/${file}`, import.meta.url)), connect(values));
  // what it says of moved jobs without a lock is BullMQ's way
  worker.on('error', () => {});
  return worker;
});
await Promise.all(workers.map((worker) => worker.waitUntilReady()));
say({ event: 'ready' });
await toldToStop();
await Promise.all(workers.map((worker) => worker.close()));
process.exit(0);
