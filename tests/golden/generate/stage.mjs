// What a scenario is performed with: the objects of one package, the clock, and checkpoints.
import { createRequire } from 'node:module';
import { setTimeout as pause } from 'node:timers/promises';
import * as clock from './clock.mjs';

// the packages are those of the interop tests
const require = createRequire(new URL('../../interop/node/package.json', import.meta.url));
export const Redis = require('ioredis');

export class Stage {
  #play;

  /** `release` is 5 or 6; `play` is what all stages of one run share: `{ redis, path, keyspace, checkpoints, open }`. */
  constructor(release, play) {
    this.release = release;
    this.library = require(`bullmq${release}`);
    this.redis = play.redis;
    this.#play = play;
  }

  /** The same run with the other package, for queues that both work. */
  with(release) {
    return new Stage(release, this.#play);
  }

  /** A queue object, which has written its meta. */
  async queue(name = 'q', options = {}) {
    const queue = this.#keep(new this.library.Queue(name, this.#options(options)));
    await queue.waitUntilReady();
    return queue;
  }

  /** A worker that does nothing by itself; its jobs are fetched by hand. */
  async worker(options = {}, name = 'q') {
    const worker = new this.library.Worker(name, null, this.#options({ autorun: false, ...options }));
    await this.#keep(worker).waitUntilReady();
    return worker;
  }

  async flows(options = {}) {
    const flows = this.#keep(new this.library.FlowProducer(this.#options(options)));
    await flows.waitUntilReady();
    return flows;
  }

  /** One job, without waiting for it. */
  fetch(worker, token) {
    return worker.getNextJob(token, { block: false });
  }

  /** Fetches with the token, and completes what came. */
  async complete(worker, token, value = null) {
    const job = await this.fetch(worker, token);
    await job.moveToCompleted(value, token, false);
    return job;
  }

  /** Fetches with the token, and fails what came. */
  async fail(worker, token, reason) {
    const job = await this.fetch(worker, token);
    await job.moveToFailed(reason instanceof Error ? reason : new Error(reason), token, false);
    return job;
  }

  /** A worker that runs until it waits for work; it is returned still waiting. */
  async run(processor, options = {}, name = 'q') {
    const worker = new this.library.Worker(name, processor, this.#options({ skipStalledCheck: true, ...options }));
    this.#keep(worker);
    const active = worker.toKey('active');
    const marker = worker.toKey('marker');
    const waits = async () =>
      /cmd=bzpopmin/.test(await this.redis.client('LIST')) &&
      (await this.redis.llen(active)) === 0 &&
      (await this.redis.zscore(marker, '0')) === null;
    while (!(await waits())) {
      await pause(5);
    }
    return worker;
  }

  advance(ms) {
    clock.set(clock.current() + ms);
  }

  /** What a call returned, or `{ error, code }`. */
  async attempt(call) {
    try {
      return await call();
    } catch (error) {
      return error.code === undefined ? { error: error.message } : { code: error.code, error: error.message };
    }
  }

  /** Puts down the keyspace, and the events since the checkpoint before. */
  async checkpoint(label, result) {
    const at = this.#play.keyspace.text(String(clock.current()));
    const { keys, events } = await this.#play.keyspace.read();
    const told = result === undefined ? {} : { result: this.#play.keyspace.json(JSON.parse(JSON.stringify(result))) };
    this.#play.checkpoints.push({ label, at, ...told, keys, events });
  }

  #options(options) {
    return { connection: { path: this.#play.path, maxRetriesPerRequest: null }, ...options };
  }

  #keep(object) {
    this.#play.open.push(object);
    return object;
  }
}
