// An endpoint for the container test, over TLS: a job whose data say so is held until `node api.mjs release` was called.
//
//   node api.mjs CERTIFICATE KEY
import { existsSync, readFileSync, watch, writeFileSync } from 'node:fs';
import { createServer } from 'node:https';

const released = '/tmp/released';
const [certificate, key] = process.argv.slice(2);
if (certificate === 'release') {
  writeFileSync(released, '');
} else {
  const held = new Set();
  // the first process of its container, which ends only by what it listens to
  process.on('SIGTERM', () => process.exit());
  watch('/tmp', () => {
    if (existsSync(released)) {
      held.forEach((answer) => answer());
      held.clear();
    }
  });
  createServer({ cert: readFileSync(certificate), key: readFileSync(key) }, async (request, response) => {
    let body = '';
    for await (const part of request) {
      body += part;
    }
    const answer = () => response.setHeader('content-type', 'application/json').end('{"answered":true}');
    if (JSON.parse(body).data?.hold && !existsSync(released)) {
      held.add(answer);
    } else {
      answer();
    }
  }).listen(8443);
}
