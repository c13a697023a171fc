#!/usr/bin/env node
// Runs a BullMQ processor file as a process of an oxherd pool (docs/handlers/helpers.md). Node 18 or newer, nothing else.
//
//   node oxherd.mjs PROCESSOR [--slots N] [--stdio]
//
// PROCESSOR is what a BullMQ Worker takes for its sandbox: a file that exports (job, token, signal) => value, as
// CommonJS or as an ES module. --slots: jobs it may be given at once [default: 1]. --stdio: frames on standard input
// and output instead of descriptors 3 and 4. What the processor prints goes to standard error.
import { existsSync, writeSync } from 'node:fs';
import { Socket } from 'node:net';
import { resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const USAGE = 'usage: node oxherd.mjs PROCESSOR [--slots N] [--stdio]';
/** Longest wait for an answer of the daemon, in ms. */
const PATIENCE = 10_000;

const { file, slots, stdio } = parseArguments(process.argv.slice(2));
const INPUT = stdio ? 0 : 3;
const OUTPUT = stdio ? 1 : 4;
// before anything can print: standard output may carry the frames
Object.defineProperty(process, 'stdout', { configurable: true, enumerable: true, get: () => process.stderr });

function parseArguments(words) {
  const found = { slots: 1, stdio: false };
  for (let at = 0; at < words.length; at += 1) {
    const [word, inline] = words[at].startsWith('--') ? words[at].split(/=(.*)/s) : [words[at]];
    if (word === '--stdio') {
      found.stdio = true;
    } else if (word === '--slots') {
      found.slots = Number(inline ?? words[(at += 1)]);
      if (!Number.isInteger(found.slots) || found.slots < 1) {
        usage('--slots expects a whole number of at least 1');
      }
    } else if (word.startsWith('--')) {
      usage(`unknown option ${word}`);
    } else if (found.file !== undefined) {
      usage(`one processor file expected, got also ${word}`);
    } else {
      found.file = word.startsWith('file:') ? fileURLToPath(word) : resolve(word);
    }
  }
  if (found.file === undefined) {
    usage('no processor file given');
  }
  return found;
}

function usage(problem) {
  process.stderr.write(`oxherd.mjs: ${problem}\n${USAGE}\n`);
  process.exit(2);
}

// --- frames out: all of one turn of the event loop in one write

let pending = [];
let flushing = false;

function send(frame) {
  pending.push(frame);
  if (!flushing) {
    flushing = true;
    setImmediate(flush);
  }
}

/** Writes what waits. Blocks while the daemon reads nothing: whoever produces faster than it is read has to wait. */
function flush() {
  flushing = false;
  if (pending.length === 0) {
    return;
  }
  let bytes = Buffer.from(`${pending.join('\n')}\n`);
  pending = [];
  while (bytes.length > 0) {
    try {
      bytes = bytes.subarray(writeSync(OUTPUT, bytes));
    } catch (error) {
      if (error.code !== 'EAGAIN') {
        process.exit(0); // nobody listens any more
      }
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 1);
    }
  }
}

function leave(code) {
  send('{"t":"bye"}');
  flush();
  process.exit(code);
}

// --- one job

/** Jobs that run, by ref. */
const running = new Map();
let draining = false;
let asked = 0;
/** Questions to the daemon without an answer yet, by number. */
const questions = new Map();

/** Asks the daemon what became of a job's children up to now. */
function children(ref) {
  return new Promise((fulfil, reject) => {
    const n = (asked += 1);
    const tooLate = () => {
      questions.delete(n);
      reject(new Error('the daemon did not say what became of the children'));
    };
    const timer = setTimeout(tooLate, PATIENCE);
    questions.set(n, (told) => {
      clearTimeout(timer);
      if (told.error === undefined) {
        fulfil({ processed: {}, ignored: {}, failed: [], unprocessed: [], ...told.children });
      } else {
        reject(new Error(told.error));
      }
    });
    send(`{"t":"ask","ref":${JSON.stringify(ref)},"n":${n},"what":"children"}`);
  });
}

/** What stands beside the queues (docs/app.md): whatever is asked for is done by the daemon, and ends with the job. */
function beside(attempt) {
  const call = (op, args = {}) =>
    new Promise((fulfil, reject) => {
      const n = (asked += 1);
      attempt.asked.add(n);
      questions.set(n, (told) => {
        attempt.asked.delete(n);
        if (told.error === undefined) {
          fulfil(told.result);
        } else {
          reject(new Error(told.error));
        }
      });
      send(JSON.stringify({ t: 'app', ref: attempt.ref, n, op, args }));
    });
  const value = (answer) => (answer.found ? answer.value : undefined);
  /** A span of time is a text, such as "30s", or a number of ms. */
  const span = (time) => (typeof time === 'number' ? `${Math.ceil(time)}ms` : time);
  const kept = ({ ttl, tags } = {}) => ({ ttl: span(ttl), tags });
  const cache = {
    get: async (key) => value(await call('cache.get', { key })),
    getMany: async (keys) => (await call('cache.getMany', { keys })).map(value),
    set: async (key, made, keep) => {
      await call('cache.set', { key, value: made ?? null, ...kept(keep) });
    },
    delete: async (...keys) => (await call('cache.delete', { keys })).deleted,
    deleteTag: async (tag) => (await call('cache.deleteTag', { tag })).deleted,
    getOrSet: async (key, make, keep) => {
      const begun = await call('cache.begin', { key, ...kept(keep) });
      if (begun.found) {
        return begun.value;
      }
      const { ticket } = begun;
      let made;
      try {
        made = (await make()) ?? null;
      } catch (error) {
        await call('cache.leave', { ticket }).catch(() => {});
        throw error;
      }
      // whoever made it has it, stored or not
      await call('cache.fill', { ticket, value: made }).catch(() => {});
      return made;
    },
  };
  const sessions = {
    /** { id, device, madeRoom }, or null when the user has all that are allowed. */
    create: (user, data, { ttl, maxAge, ...policy } = {}) =>
      call('session.create', { user, data, policy: { ttl: span(ttl), maxAge: span(maxAge), ...policy } }),
    read: (id) => call('session.read', { id }),
    touch: (id) => call('session.touch', { id }),
    update: (id, data) => call('session.update', { id, data: data ?? null }),
    revoke: async (id) => (await call('session.revoke', { id })).revoked === 1,
    revokeDevice: async (user, device) => (await call('session.revokeDevice', { user, device })).revoked === 1,
    revokeAll: async (user, but) => (await call('session.revokeAll', { user, but })).revoked,
    list: (user) => call('session.list', { user }),
    count: async (user) => (await call('session.count', { user })).count,
  };
  /** More: { kind: 'bucket', burst, cost, strict }. */
  const limit = (op) => (user, action, max, per, more) => call(op, { user, action, max, per: span(per), ...more });
  const limiter = { check: limit('limit.check'), peek: limit('limit.peek'), reset: limit('limit.reset') };
  const presence = {
    beat: (room, member, connection, ttl, data) =>
      call('presence.beat', { room, member, connection, ttl: span(ttl), data }),
    leave: (room, member, connection) => call('presence.leave', { room, member, connection }),
    list: (room, most) => call('presence.list', { room, most }),
    count: async (room) => (await call('presence.count', { room })).count,
    online: (room, members) => call('presence.online', { room, members }),
  };
  return { call, cache, sessions, limiter, presence };
}

/** Of all groups of children those asked for, or all, each with its cursor of 0: nothing is left. */
function dependencies(all, asked) {
  const { processed, unprocessed, failed, ignored } = all;
  const groups = Object.entries({ processed, unprocessed, failed, ignored });
  const named = groups.filter(([group]) => asked?.[group]);
  if (named.length === 0) {
    return Object.fromEntries(groups);
  }
  const cursor = (group) => `next${group[0].toUpperCase()}${group.slice(1)}Cursor`;
  return Object.fromEntries(named.flatMap(([group, jobs]) => [[group, jobs], [cursor(group), 0]]));
}

/** How many there are in the groups asked for, or in all. */
function counts(all, asked) {
  const { processed, unprocessed, ignored, failed } = all;
  const groups = Object.entries({ processed, unprocessed, ignored, failed });
  const named = groups.filter(([group]) => asked?.[group]);
  return Object.fromEntries((named.length > 0 ? named : groups).map(([group, jobs]) => [group, Object.keys(jobs).length]));
}

const json = (value) => JSON.stringify(value) ?? 'null';

/** The job as a processor in BullMQ's sandbox sees it. */
class Job {
  #token;
  #app;

  constructor(frame, attempt) {
    const { job, bullmq = {} } = frame;
    const { opts = {}, prefix = 'bull' } = bullmq;
    const { tag } = attempt;
    this.#token = bullmq.token;
    this.id = job.id;
    this.name = job.name;
    this.data = frame.data;
    this.opts = opts;
    if (opts.parent) {
      const { id, queue: queueKey } = opts.parent;
      this.parent = { id, queueKey };
      for (const flag of ['fpof', 'rdof', 'idof', 'cpof']) {
        if (opts[flag]) {
          this.parent[flag] = true;
        }
      }
    }
    if (bullmq.parentKey !== undefined) {
      this.parentKey = bullmq.parentKey;
    }
    this.progress = 0;
    this.attemptsMade = bullmq.attemptsMade ?? job.attempt - 1;
    this.attemptsStarted = bullmq.attemptsStarted ?? job.attempt;
    this.stalledCounter = bullmq.stalledCounter ?? 0;
    this.processedOn = bullmq.processedOn;
    this.timestamp = job.createdAt;
    this.stacktrace = bullmq.stacktrace ?? '[]';
    if (bullmq.repeatJobKey !== undefined) {
      this.repeatJobKey = bullmq.repeatJobKey;
    }
    if (bullmq.deduplicationId !== undefined) {
      this.debounceId = bullmq.deduplicationId;
      this.deduplicationId = bullmq.deduplicationId;
    }
    this.returnvalue = 'null';
    this.queueName = job.queue;
    this.queueQualifiedName = `${prefix}:${job.queue}`;
    this.prefix = prefix;
    this.returnValue = null;

    // functions of the job's own: they work without it too, as in const { log } = job
    this.updateProgress = async (progress) => {
      this.progress = progress;
      send(`{"t":"progress",${tag},"value":${json(progress)}}`);
    };
    this.log = async (row) => {
      send(`{"t":"log",${tag},"line":${json(`${row ?? ''}`)}}`);
    };
    this.moveToDelayed = async (timestamp) => {
      attempt.moved = defer('moved to delayed', timestamp - Date.now());
    };
    this.moveToWait = async () => {
      attempt.moved = defer('moved to wait', 0);
    };
    this.moveToWaitingChildren = async () => {
      const { unprocessed, failed } = await children(frame.ref);
      const waits = unprocessed.length + failed.length > 0;
      if (waits) {
        attempt.moved = { outcome: 'waiting-children' };
      }
      return waits;
    };
    this.updateData = async (data) => {
      this.data = data;
      send(`{"t":"data",${tag},"data":${json(data)}}`);
    };
    this.getChildrenValues = async () => (await children(frame.ref)).processed;
    this.getIgnoredChildrenFailures = async () => (await children(frame.ref)).ignored;
    this.getDependenciesCount = async (asked) => counts(await children(frame.ref), asked);
    this.#app = beside(attempt);
    this.getDependencies = async (asked) => dependencies(await children(frame.ref), asked);
  }

  get token() {
    return this.#token;
  }

  // not among what a job in BullMQ's sandbox shows of itself
  get app() {
    return this.#app;
  }
}

function defer(message, ms) {
  return { outcome: 'defer', message, after: `${Math.max(0, Math.ceil(ms)) || 0}ms` };
}

/** What an error means, known by its name: the class comes from the processor's own copy of bullmq. */
function meaning(error) {
  const message = error?.message || String(error);
  const stack = typeof error?.stack === 'string' ? error.stack : `Error: ${message}`;
  switch (error?.name) {
    case 'UnrecoverableError':
      return { outcome: 'fail', message, stack };
    case 'DelayedError':
      return { outcome: 'defer', message };
    case 'RateLimitError':
      return defer(message, 1000);
    case 'WaitingError':
      return defer(message, 0);
    case 'WaitingChildrenError':
      return { outcome: 'waiting-children' };
    default:
      return { message, stack };
  }
}

function ended(attempt, frame) {
  if (running.delete(attempt.ref)) {
    send(frame);
  }
  attempt.asked.forEach((n) => questions.delete(n));
  if (draining && running.size === 0) {
    leave(0);
  }
}

function failed(attempt, stated) {
  ended(attempt, `{"t":"fail",${attempt.tag},${JSON.stringify(stated).slice(1)}`);
}

async function run(processor, frame) {
  const controller = new AbortController();
  const attempt = { ref: frame.ref, tag: `"ref":${JSON.stringify(frame.ref)}`, controller, moved: undefined, asked: new Set() };
  running.set(attempt.ref, attempt);
  try {
    const value = await processor(new Job(frame, attempt), frame.bullmq?.token ?? '', controller.signal);
    if (attempt.moved === undefined) {
      ended(attempt, `{"t":"done",${attempt.tag},"result":${json(value)}}`);
      return;
    }
  } catch (error) {
    attempt.moved ??= meaning(error);
  }
  failed(attempt, attempt.moved);
}

// --- frames in

function hear(frame, processor) {
  switch (frame.t) {
    case 'job':
      run(processor, frame);
      break;
    case 'ping':
      send(JSON.stringify({ t: 'pong', n: frame.n }));
      break;
    case 'cancel':
      running.get(frame.ref)?.controller.abort(frame.reason);
      break;
    case 'told':
    case 'app':
      questions.get(frame.n)?.(frame);
      questions.delete(frame.n);
      break;
    case 'drain':
      draining = true;
      if (running.size === 0) {
        leave(0);
      }
      break;
    default: // of a later version of the protocol
  }
}

function listen(processor) {
  const input = new Socket({ fd: INPUT, readable: true, writable: false });
  /** The beginning of a line whose end has not come. */
  let begun = [];
  input.on('data', (chunk) => {
    const end = chunk.lastIndexOf(10);
    if (end < 0) {
      begun.push(chunk);
      return;
    }
    const whole = begun.length > 0 ? Buffer.concat([...begun, chunk.subarray(0, end)]) : chunk.subarray(0, end);
    begun = end + 1 < chunk.length ? [chunk.subarray(end + 1)] : [];
    for (const line of whole.toString().split('\n')) {
      if (line === '') {
        continue;
      }
      let frame;
      try {
        frame = JSON.parse(line);
      } catch (error) {
        process.stderr.write(`oxherd.mjs: a frame that is not JSON: ${error.message}\n`);
        continue;
      }
      hear(frame, processor);
    }
  });
  // the daemon is gone, and somebody else will run what runs here
  input.on('close', () => process.exit(0));
  input.on('error', () => process.exit(0));
}

/** An error nobody caught. It belongs to the job that runs, if only one does; the process is not to be trusted after it. */
function uncaught(error) {
  process.stderr.write(`oxherd.mjs: nobody caught ${error?.stack ?? error}\n`);
  if (running.size === 1) {
    const [attempt] = running.values();
    draining = false;
    failed(attempt, meaning(error));
  }
  if (running.size > 0) {
    flush();
    process.exit(1); // which of them it was shows when they are run again
  }
  leave(1);
}

async function load() {
  if (!existsSync(file)) {
    throw new Error(`no file ${file}`);
  }
  const module = await import(pathToFileURL(file).href);
  // what was compiled from an ES module has its default inside of CommonJS' exports
  const exported = module.default?.default ?? module.default;
  if (typeof exported !== 'function') {
    const names = Object.keys(module).join(', ') || 'nothing';
    throw new Error(`${file} exports no function; expected module.exports = or export default, got ${names}`);
  }
  return exported;
}

send(`{"t":"hello","proto":1,"slots":${slots}}`);
flush();
process.on('exit', flush);
let processor;
try {
  processor = await load();
} catch (error) {
  process.stderr.write(`oxherd.mjs: cannot load the processor: ${error?.stack ?? error}\n`);
  process.exit(1);
}
process.on('uncaughtException', uncaught);
process.on('unhandledRejection', uncaught);
listen(processor);
send('{"t":"ready"}');
