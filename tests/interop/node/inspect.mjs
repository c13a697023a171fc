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
import { connect, load, parseArguments, say } from './client.mjs';

const values = parseArguments({ queue: 'email' });
const [verb, ...names] = values._;
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
  job: () => Promise.all(names.map(async (id) => show(await queue.getJob(id)) ?? null)),
  jobs: async () => (await queue.getJobs(names)).map(show),
  state: () => Promise.all(names.map((id) => queue.getJobState(id))),
  children: () => Promise.all(names.map(async (id) => (await queue.getJob(id)).getDependencies())),
  logs: () => queue.getJobLogs(names[0]),
  workers: async () => (await queue.getWorkers()).map((worker) => worker.rawname ?? worker.name),
  metrics: () => queue.getMetrics(names[0]),
  limits: async () => ({
    paused: await queue.isPaused(),
    concurrency: await queue.getGlobalConcurrency(),
    rateLimit: await queue.getGlobalRateLimit?.(),
  }),
};
if (!VERBS[verb]) {
  throw new Error(`unknown verb ${verb}; there are ${Object.keys(VERBS)}`);
}
say(await VERBS[verb]());
await queue.close();
