// An endpoint that verifies what oxherd signs with the public standardwebhooks library, and tells what it found.
//
//   node webhook.mjs --old whsec_… --new TEXT --other whsec_…
//
// Prints {"event":"ready","url"}. A POST to /old, /new or /other is verified with that secret alone, "new" being one
// of plain text. It answers 200 with what else was tried: each part of the request changed by one character, which has
// to be refused; 401 when the request itself is refused. Each job of a batch gets that as its result.
import { createServer } from 'node:http';
import { Webhook } from 'standardwebhooks';
import { parseArguments, say, toldToStop } from './client.mjs';

const values = parseArguments();
const known = {
  '/old': new Webhook(values.old),
  '/new': new Webhook(values.new, { format: 'raw' }),
  '/other': new Webhook(values.other),
};

const accepts = (webhook, body, headers) => {
  try {
    webhook.verify(body, headers);
    return true;
  } catch {
    return false;
  }
};

// another character of the same alphabet, so that only the signature can tell
const changed = (text, at) => text.slice(0, at) + (text[at] === '1' ? '2' : '1') + text.slice(at + 1);

const server = createServer(async (request, response) => {
  const chunks = [];
  for await (const chunk of request) {
    chunks.push(chunk);
  }
  const body = Buffer.concat(chunks).toString();
  const webhook = known[request.url];
  const { headers } = request;
  const verified = accepts(webhook, body, headers);
  const found = {
    verified,
    body: accepts(webhook, changed(body, body.indexOf('"id":"') + 6), headers),
    id: accepts(webhook, body, { ...headers, 'webhook-id': changed(headers['webhook-id'], 10) }),
    timestamp: accepts(webhook, body, {
      ...headers,
      'webhook-timestamp': String(Number(headers['webhook-timestamp']) - 1),
    }),
    signature: accepts(webhook, body, { ...headers, 'webhook-signature': 'v1,' }),
    signatures: headers['webhook-signature'].split(' ').length,
  };
  response.writeHead(verified ? 200 : 401, { 'content-type': 'application/json' });
  const { jobs } = JSON.parse(body);
  const results = jobs?.map(({ job }) => ({ id: job.id, result: { ...found, batch: jobs.length } }));
  response.end(JSON.stringify(results ? { results } : found));
});

server.listen(0, '127.0.0.1', () => say({ event: 'ready', url: `http://127.0.0.1:${server.address().port}` }));
await toldToStop();
process.exit(0);
