// Performs the scenarios with the bullmq packages and writes the dumps, or compares them with those that are there.
//
//   node generate.mjs [--check] [--data DIR] [SCENARIO …]
//
// Without names all scenarios of ./scenarios. --check writes nothing and ends with 1 when a dump differs.
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as clock from './clock.mjs';

clock.stop();
const { Keyspace } = await import('./keyspace.mjs');
const { startServer } = await import('./server.mjs');
const { Redis, Stage } = await import('./stage.mjs');
const { firstDifference, print } = await import('./text.mjs');

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { check: { type: 'boolean' }, data: { type: 'string', default: here('../data') } },
});

const known = (await readdir(here('scenarios'))).map((file) => file.replace(/\.mjs$/, '')).sort();
const unknown = positionals.filter((name) => !known.includes(name));
if (unknown.length > 0) {
  throw new Error(`unknown scenario ${unknown}; there are ${known.join(', ')}`);
}

const server = await startServer();
const redis = new Redis({ path: server.path });
let wrong = 0;
try {
  for (const name of positionals.length > 0 ? positionals : known) {
    const scenario = await import(`./scenarios/${name}.mjs`);
    for (const release of scenario.mixed ? ['mixed'] : ['v5', 'v6']) {
      const text = `${print(await perform(name, scenario, release))}\n`;
      const file = join(values.data, `${name}.${release}.json`);
      if (!values.check) {
        await writeFile(file, text);
        console.log(`wrote   ${name}.${release}`);
        continue;
      }
      const stored = await readFile(file, 'utf8').catch(() => '');
      const difference = firstDifference(stored, text);
      console.log(`${difference ? 'DIFFERS' : 'same   '} ${name}.${release}${difference ? `: ${difference}` : ''}`);
      wrong += difference ? 1 : 0;
    }
  }
} finally {
  redis.disconnect();
  await server.stop();
}
process.exitCode = wrong > 0 ? 1 : 0;

/** One scenario on an empty server: the content of its dump. */
async function perform(name, scenario, release) {
  await redis.flushall();
  clock.set(clock.T0);
  const play = { redis, path: server.path, keyspace: new Keyspace(redis), checkpoints: [], open: [] };
  const stage = new Stage(release === 'v5' ? 5 : 6, play);
  try {
    await scenario.play(stage);
  } catch (error) {
    throw new Error(`${name}.${release} after ${play.checkpoints.length} checkpoints`, { cause: error });
  } finally {
    await Promise.all(play.open.map((object) => object.close()));
  }
  return {
    scenario: name,
    bullmq: release === 'mixed' ? 'v5 and v6 on one queue' : await versionOf(stage.release),
    redis: /redis_version:(\S+)/.exec(await redis.info('server'))[1],
    t0: clock.T0,
    checkpoints: play.checkpoints,
  };
}

async function versionOf(release) {
  const file = here(`../../interop/node/node_modules/bullmq${release}/package.json`);
  return JSON.parse(await readFile(file, 'utf8')).version;
}
