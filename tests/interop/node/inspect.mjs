// What a BullMQ client makes of a queue: reads and prints one JSON line.
//
//   node inspect.mjs counts            --redis URL --queue q [--version 5|6]
//   node inspect.mjs job ID …          the fields of each job, null where there is none
//   node inspect.mjs jobs STATE …      the jobs in these states
//   node inspect.mjs state ID …        the state of each job
//   node inspect.mjs children ID …     what became of the children of each job
//   node inspect.mjs logs ID
//   node inspect.mjs workers           names of the workers the client finds
//   node inspect.mjs metrics completed|failed
//   node inspect.mjs limits            global concurrency, rate limit, paused
//   node inspect.mjs serve             prints {"event":"ready"}, then {"ok":true,"result"} for what each line of
//                                      stdin asks, the words as a JSON array, until "stop"
import { connect, eachLine, load, parseArguments, say } from './client.mjs';

const values = parseArguments({ queue: 'email' });
const { Queue } = await load(values);
const queue = new Queue(values.queue, connect(values));

const show = (job) =>
  job && {
    id: job.id,
    name: job.name,
    data: job.data,
    opts: job.opts,
    progress: job.progress,
    delay: job.delay,
    priority: job.priority,
    attemptsMade: job.attemptsMade,
    attemptsStarted: job.attemptsStarted,
    stalledCounter: job.stalledCounter,
    timestamp: job.timestamp,
    processedOn: job.processedOn,
    finishedOn: job.finishedOn,
    processedBy: job.processedBy,
    returnvalue: job.returnvalue,
    failedReason: job.failedReason,
    stacktrace: job.stacktrace,
  };

const VERBS = {
  counts: () => queue.getJobCounts(),
  job: (...ids) => Promise.all(ids.map(async (id) => show(await queue.getJob(id)) ?? null)),
  jobs: async (...states) => (await queue.getJobs(states)).map(show),
  state: (...ids) => Promise.all(ids.map((id) => queue.getJobState(id))),
  children: (...ids) => Promise.all(ids.map(async (id) => (await queue.getJob(id)).getDependencies())),
  logs: (id) => queue.getJobLogs(id),
  workers: async () => (await queue.getWorkers()).map((worker) => worker.rawname ?? worker.name),
  metrics: (state) => queue.getMetrics(state),
  limits: async () => ({
    paused: await queue.isPaused(),
    concurrency: await queue.getGlobalConcurrency(),
    rateLimit: await queue.getGlobalRateLimit?.(),
  }),
};

async function ask([verb, ...words]) {
  if (!VERBS[verb]) {
    throw new Error(`unknown verb ${verb}; there are ${Object.keys(VERBS)}`);
  }
  return VERBS[verb](...words);
}

if (values._[0] === 'serve') {
  await queue.waitUntilReady();
  say({ event: 'ready' });
  await eachLine(async (line) => say({ ok: true, result: await ask(JSON.parse(line)) }));
} else {
  say(await ask(values._));
}
await queue.close();
