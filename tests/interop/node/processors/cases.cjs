// A processor as somebody may have written it for BullMQ's sandbox: what it does is in the job's data.
const { setTimeout: pause } = require('node:timers/promises');
const { DelayedError, RateLimitError, UnrecoverableError } = require(process.env.BULLMQ);

const tried = async (act) => {
  try {
    return { value: (await act()) ?? null };
  } catch (error) {
    return { error: `${error.name}: ${error.message}` };
  }
};

/** All that can be seen of a job, but for what differs from job to job. */
const seen = (job, token, signal) => {
  const values = Object.entries(job).map(([name, value]) => [name, typeof value === 'function' ? 'a function' : value]);
  const view = Object.fromEntries(values);
  for (const name of ['timestamp', 'processedOn']) {
    view[name] = typeof view[name];
  }
  for (const name of ['queueName', 'queueQualifiedName']) {
    view[name] = view[name].replace(/(ours|theirs)-/, '');
  }
  return { view, token: typeof token, signal: Object.prototype.toString.call(signal), aborted: signal.aborted };
};

const cases = {
  // values
  undefined: () => undefined,
  null: () => null,
  zero: () => 0,
  false: () => false,
  empty: () => '',
  text: () => 'å "x" \u2028 \u0000 🐂',
  half: () => '\ud800',
  list: () => [1, undefined, null, () => 1],
  object: () => ({ u: undefined, n: null, d: new Date(0), nan: NaN, inf: Infinity, nested: { a: [{}] } }),
  number: () => 1.1,
  nan: () => NaN,
  date: () => new Date(0),
  map: () => new Map([[1, 2]]),
  buffer: () => Buffer.from('ab'),
  function: () => () => 1,
  symbol: () => Symbol('x'),
  promise: () => Promise.resolve(5),
  big: () => 'x'.repeat(1 << 20),
  data: (job) => job.data,
  bigint: () => 10n,
  circular: () => {
    const value = {};
    value.value = value;
    return value;
  },
  // errors
  error: () => {
    throw new Error('boom');
  },
  rejection: () => Promise.reject(new Error('boom')),
  typed: () => {
    throw Object.assign(new TypeError('typed'), { code: 'EX' });
  },
  cause: () => {
    throw new Error('outer', { cause: new Error('inner') });
  },
  aggregate: () => {
    throw new AggregateError([new Error('a')], 'all of them');
  },
  string: () => {
    throw 'text';
  },
  thrown_number: () => {
    throw 42;
  },
  thrown_object: () => {
    throw { a: 1, message: 'message of an object' };
  },
  thrown_undefined: () => {
    throw undefined;
  },
  no_message: () => {
    throw new Error('');
  },
  lines: () => {
    throw new Error('one\ntwo');
  },
  unrecoverable: () => {
    throw new UnrecoverableError('no more');
  },
  unrecoverable_bare: () => {
    throw new UnrecoverableError();
  },
  second_time: (job) => {
    if (job.attemptsMade === 0) {
      throw new Error('not yet');
    }
    return [job.attemptsMade, job.attemptsStarted];
  },
  // moves
  delayed: async (job, token) => {
    if (job.attemptsStarted > 1) {
      return 'after a while';
    }
    await job.moveToDelayed(Date.now() + 100, token);
    throw new DelayedError();
  },
  moved_only: async (job, token) => {
    if (job.attemptsStarted > 1) {
      return 'again';
    }
    await job.moveToDelayed(Date.now() + 100, token);
    return 'counts for nothing';
  },
  limited: (job) => {
    if (job.attemptsStarted > 1) {
      return 'again';
    }
    throw new RateLimitError();
  },
  no_children: async (job, token) => ({
    waits: await tried(() => job.moveToWaitingChildren(token)),
    values: await tried(() => job.getChildrenValues()),
    ignored: await tried(() => job.getIgnoredChildrenFailures()),
    all: await tried(() => job.getDependencies()),
    some: await tried(() => job.getDependencies({ processed: { count: 5 } })),
    counts: await tried(() => job.getDependenciesCount()),
    count: await tried(() => job.getDependenciesCount({ processed: true })),
    not_there: await tried(() => job.getState()),
  }),
  // on the way
  seen,
  progress: async (job) => {
    const said = await job.updateProgress(42);
    return [said ?? null, job.progress];
  },
  progress_object: async (job) => {
    await job.updateProgress({ step: 1, of: [1, 2] });
  },
  log: async ({ log }) => {
    const said = await log('one');
    for (const row of ['two å', 3, { a: 1 }, undefined]) {
      await log(row);
    }
    return said ?? null;
  },
  new_data: async (job) => {
    await job.updateData({ step: 2 });
    return job.data;
  },
  printed: () => {
    console.log('to standard output');
    console.error('to standard error');
    process.stdout.write('{"t":"done","ref":"a1","result":"wrong"}\n');
    return 1;
  },
  // nobody catches it, or it ends the process
  unhandled: async () => {
    Promise.reject(new Error('unhandled'));
    await pause(10_000);
  },
  uncaught: async () => {
    setTimeout(() => {
      throw new Error('uncaught');
    }, 20);
    await pause(10_000);
  },
  exit: async () => {
    process.exit(3);
  },
  killed: async () => {
    process.kill(process.pid, 'SIGKILL');
    await pause(10_000);
  },
  late: () => {
    setTimeout(() => {
      throw new Error('late');
    }, 20);
    return 'early';
  },
};

module.exports = async (job, token, signal) => cases[job.data.do](job, token, signal);
