// The whole keyspace in the form of the golden files. The rules are in ../README.md.
import { T0 } from './clock.mjs';

/** Moments further from T0 are plain numbers. */
const NEAR = 10_000_000_000;
/** Hash fields that hold JSON text. */
const JSON_FIELDS = new Set(['opts', 'data', 'parent', 'returnvalue', 'progress']);
const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/g;

/** Reads Redis for one run of a scenario: uuids keep their numbers, events are told once. */
export class Keyspace {
  #redis;
  #uuids = new Map();
  #told = new Map();

  constructor(redis) {
    this.#redis = redis;
  }

  /** `{ keys, events }` as they are now. */
  async read() {
    const keys = (await this.#redis.keys('*')).sort();
    const types = await Promise.all(keys.map((key) => this.#redis.type(key)));
    const of = (wanted) => keys.filter((_, at) => wanted(types[at]));
    // streams first: they tell the order in which uuids came up
    const events = [];
    for (const stream of of((type) => type === 'stream')) {
      const fresh = await this.#eventsSince(stream);
      if (fresh.length > 0) {
        events.push([this.text(stream), fresh]);
      }
    }
    const rest = [];
    for (const key of of((type) => type !== 'stream')) {
      rest.push([this.text(key), await this.#entry(key, types[keys.indexOf(key)])]);
    }
    return { keys: sorted(rest), events: sorted(events) };
  }

  async #eventsSince(stream) {
    const last = this.#told.get(stream);
    const entries = await this.#redis.xrange(stream, last ? `(${last}` : '-', '+');
    if (entries.length > 0) {
      this.#told.set(stream, entries.at(-1)[0]);
    }
    return entries.map(([, fields]) => Object.fromEntries(pairs(fields).map(([k, v]) => [k, this.text(v)])));
  }

  async #entry(key, type) {
    const entry = { type };
    const ttl = await this.#redis.pttl(key);
    if (ttl >= 0) {
      entry.ttl = `<=${Math.ceil(ttl / 500) * 500}ms`;
    }
    entry.value = await this.#value(key, type);
    return entry;
  }

  async #value(key, type) {
    switch (type) {
      case 'string': {
        const value = await this.#redis.get(key);
        // a running worker's own, which are not those of the next run
        return key.endsWith(':lock') && value.match(UUID) ? '<token>' : this.text(value);
      }
      case 'list':
        return (await this.#redis.lrange(key, 0, -1)).map((value) => this.text(value));
      case 'set':
        return (await this.#redis.smembers(key)).map((value) => this.text(value)).sort();
      case 'zset': {
        const members = pairs(await this.#redis.zrange(key, 0, -1, 'WITHSCORES'));
        return members.map(([member, score]) => [this.text(member), shownScore(key, Number(score))]);
      }
      case 'hash': {
        const fields = Object.entries(await this.#redis.hgetall(key));
        return sorted(fields.map(([field, value]) => [this.text(field), this.#field(field, value)]));
      }
      default:
        throw new Error(`${key} is a ${type}, which has no form in the dumps`);
    }
  }

  #field(field, value) {
    if (field === 'stacktrace') {
      return { $json: JSON.parse(value).map((entry) => `${entry.split('\n')[0]} <stack>`) };
    }
    if (JSON_FIELDS.has(field)) {
      return { $json: this.json(JSON.parse(value)) };
    }
    return this.text(value);
  }

  /** A value with its moments and uuids shown, its members sorted. */
  json(value) {
    if (typeof value === 'string') {
      return this.text(value);
    }
    if (typeof value === 'number') {
      return moment(value) ?? value;
    }
    if (Array.isArray(value)) {
      return value.map((item) => this.json(item));
    }
    if (value && typeof value === 'object') {
      return sorted(Object.entries(value).map(([name, item]) => [this.text(name), this.json(item)]));
    }
    return value;
  }

  /** Text with every moment in it shown as its distance from T0, and uuids by their number. */
  text(value) {
    const numbered = value.replace(UUID, (uuid) => {
      if (!this.#uuids.has(uuid)) {
        this.#uuids.set(uuid, this.#uuids.size + 1);
      }
      return `<uuid:${this.#uuids.get(uuid)}>`;
    });
    return numbered.replace(/(?<!\d)\d{13}(?!\d)/g, (digits) => moment(Number(digits)) ?? digits);
  }
}

/** A moment near T0 as its distance. */
export function moment(ms) {
  const distance = ms - T0;
  if (!Number.isInteger(ms) || Math.abs(distance) >= NEAR) {
    return undefined;
  }
  return distance === 0 ? '<ts>' : `<ts${distance > 0 ? '+' : ''}${distance}>`;
}

function shownScore(key, score) {
  if (key.endsWith(':delayed')) {
    return `${moment(Math.floor(score / 4096))}*4096+${score % 4096}`;
  }
  if (key.endsWith(':prioritized')) {
    return `${Math.floor(score / 2 ** 32)}*2^32+${score % 2 ** 32}`;
  }
  const whole = Math.floor(score);
  const part = Math.round((score - whole) * 4096);
  return part > 0 ? `${moment(whole)}+${part}/4096` : (moment(score) ?? score);
}

const pairs = (flat) => Array.from({ length: flat.length / 2 }, (_, at) => [flat[2 * at], flat[2 * at + 1]]);
const sorted = (entries) => Object.fromEntries(entries.sort(([a], [b]) => (a < b ? -1 : Number(a > b))));
