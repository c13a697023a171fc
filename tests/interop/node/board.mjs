// Serves bull-board over the given queues until a line arrives on stdin.
//
//   node board.mjs --redis URL --queues a,b [--version 5|6]
//
// Prints {"event":"ready","url"}; the page is at url, the board's HTTP API below url + "/api".
import { createBullBoard } from '@bull-board/api';
import { BullMQAdapter } from '@bull-board/api/bullMQAdapter';
import { HonoAdapter } from '@bull-board/hono';
import { serve } from '@hono/node-server';
import { serveStatic } from '@hono/node-server/serve-static';
import { Hono } from 'hono';
import { connect, list, load, parseArguments, say, toldToStop } from './client.mjs';

const values = parseArguments({ queues: 'email' });
const { Queue } = await load(values);
const queues = list(values.queues).map((name) => new Queue(name, connect(values)));
await Promise.all(queues.map((queue) => queue.waitUntilReady()));

const adapter = new HonoAdapter(serveStatic);
createBullBoard({ queues: queues.map((queue) => new BullMQAdapter(queue)), serverAdapter: adapter });
adapter.setBasePath('/board');
const app = new Hono().route('/board', adapter.registerPlugin());
const server = serve({ fetch: app.fetch, hostname: '127.0.0.1', port: 0 }, ({ port }) =>
  say({ event: 'ready', url: `http://127.0.0.1:${port}/board` }),
);
await toldToStop();
server.close();
server.closeAllConnections();
await Promise.all(queues.map((queue) => queue.close()));
process.exit(0);
