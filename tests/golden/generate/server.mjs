// A Redis server of our own on a socket in a directory of its own.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** Starts it and resolves when it takes connections: `{ path, stop }`. */
export async function startServer() {
  const directory = await mkdtemp(join(tmpdir(), 'golden-'));
  const path = join(directory, 'redis.sock');
  const program = process.env.OXHERD_REDIS_SERVER ?? 'redis-server';
  const settings = { port: 0, unixsocket: path, dir: directory, save: '', appendonly: 'no' };
  const child = spawn(
    program,
    Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]),
    { stdio: ['ignore', 'pipe', 'inherit'] },
  );
  const ended = once(child, 'exit');
  await new Promise((resolve, reject) => {
    createInterface({ input: child.stdout }).on('line', (line) => line.includes('connections at') && resolve());
    child.once('error', reject);
    child.once('exit', (code) => reject(new Error(`${program} ended with ${code} before it took connections`)));
  });
  const stop = async () => {
    child.kill();
    await ended;
    await rm(directory, { recursive: true });
  };
  return { path, stop };
}
