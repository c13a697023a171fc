// Subscribes as an API server does that pushes the status of jobs to browsers, with the client BullMQ itself uses.
//
//   node subscriber.mjs --redis URL --channels a,b
//
// Prints {"event":"ready"}, then {"event":"message","channel","keys","message"} for each, the keys in the order in which
// they stand in the text, until a line arrives on stdin.
import { Redis } from 'ioredis';
import { connect, list, parseArguments, say, toldToStop } from './client.mjs';

const values = parseArguments({ channels: 'job_updates' });
const redis = new Redis(connect(values).connection);
redis.on('error', (error) => say({ event: 'error', message: error.message }));
redis.on('message', (channel, text) => {
  const message = JSON.parse(text);
  say({ event: 'message', channel, keys: Object.keys(message), message });
});
await redis.subscribe(...list(values.channels));
say({ event: 'ready' });
await toldToStop();
redis.disconnect();
