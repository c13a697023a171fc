// Stands for your web application: serves the page, and gives whoever is logged in a token for its tenant. Nothing but
// Node's own modules.
//
//   EVENTS_SECRET=… node server.mjs [--port 8080] [--tenant t1] [--events http://127.0.0.1:7117/v1/events]
//
// EVENTS_SECRET is one of admin.events.secrets; allow_origins there has to name http://127.0.0.1:8080.
import { createHmac } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { parseArgs } from 'node:util';

const { values: options } = parseArgs({
  options: {
    port: { type: 'string', default: '8080' },
    tenant: { type: 'string', default: 't1' },
    events: { type: 'string', default: 'http://127.0.0.1:7117/v1/events' },
  },
});
const secret = process.env.EVENTS_SECRET ?? '';
if (secret.length < 32) throw new Error('EVENTS_SECRET must have at least 32 bytes');

/** A token with which one tenant's messages can be seen for a while (JWT, HS256). */
function mint(tenant, seconds = 300) {
  const part = (text) => Buffer.from(text).toString('base64url');
  const claims = { tenant, exp: Math.floor(Date.now() / 1000) + seconds };
  const text = `${part('{"alg":"HS256","typ":"JWT"}')}.${part(JSON.stringify(claims))}`;
  return `${text}.${createHmac('sha256', secret).update(text).digest('base64url')}`;
}

/** Of whoever is logged in. A real application reads its session here, and nothing that the browser could make up. */
const tenantOf = (_request) => options.tenant;

const files = { '/': ['index.html', 'text/html; charset=utf-8'], '/jobs.js': ['jobs.js', 'text/javascript'] };

const server = createServer(async (request, response) => {
  const path = new URL(request.url, 'http://localhost').pathname;
  if (path === '/token') {
    response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
    return response.end(JSON.stringify({ token: mint(tenantOf(request)), events: options.events }));
  }
  if (!Object.hasOwn(files, path)) return response.writeHead(404).end();
  const [name, type] = files[path];
  response.writeHead(200, {
    'content-type': type,
    'x-content-type-options': 'nosniff',
    'content-security-policy': `default-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self' ${new URL(options.events).origin}`,
  });
  response.end(await readFile(new URL(name, import.meta.url)));
});
server.listen(Number(options.port), '127.0.0.1', () => {
  console.log(JSON.stringify({ event: 'ready', url: `http://127.0.0.1:${server.address().port}/` }));
});
