// What the programs of this folder share: arguments, the BullMQ release to load, and JSON lines.
import { createInterface } from 'node:readline';

/** `--key value` and `--flag` into an object; the rest into `_`. */
export function parseArguments(defaults = {}) {
  const values = { version: '6', redis: 'redis://127.0.0.1:6379', prefix: 'bull', ...defaults, _: [] };
  const words = process.argv.slice(2);
  while (words.length > 0) {
    const word = words.shift();
    if (!word.startsWith('--')) {
      values._.push(word);
    } else if (words.length === 0 || words[0].startsWith('--')) {
      values[word.slice(2)] = true;
    } else {
      values[word.slice(2)] = words.shift();
    }
  }
  return values;
}

/** The client library of the release `--version` names. */
export const load = (values) => import(values.version === '5' ? 'bullmq5' : 'bullmq');

/** Options every BullMQ object takes. `redis://host:port/db` and `redis+unix:///path` are understood. */
export function connect(values) {
  const unix = /^(?:redis\+)?unix:\/\/(.+)$/.exec(values.redis);
  if (unix) {
    return { connection: { path: unix[1], maxRetriesPerRequest: null }, prefix: values.prefix };
  }
  const url = new URL(values.redis);
  return {
    connection: {
      host: url.hostname,
      port: Number(url.port || 6379),
      db: Number(url.pathname.slice(1) || 0),
      password: url.password || undefined,
      maxRetriesPerRequest: null,
    },
    prefix: values.prefix,
  };
}

export const list = (text) => String(text).split(',').filter(Boolean);

export function say(value) {
  process.stdout.write(`${JSON.stringify(value)}\n`);
}

/** Calls `act` with each line that arrives on stdin, one after the other, until the end or the word "stop". */
export async function eachLine(act) {
  for await (const line of createInterface({ input: process.stdin })) {
    if (line === 'stop') {
      return;
    }
    await act(line);
  }
}

/** Resolves when a line or the end arrives on stdin: the test's word to stop. */
export function toldToStop() {
  return new Promise((resolve) => {
    const lines = createInterface({ input: process.stdin });
    lines.once('line', resolve);
    lines.once('close', resolve);
  });
}
