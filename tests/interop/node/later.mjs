// An endpoint that answers 202 and calls back when it is done; nothing but Node's own modules.
//
//   node later.mjs
//
// Prints {"event":"ready","url"}; then {"event":"job","name","attempt","callback"} for each request and
// {"event":"called","name","step","status","error"} for the answer to each of its calls. The job's name says what it does.
import { createServer } from 'node:http';
import { setTimeout as pause } from 'node:timers/promises';

const say = (line) => console.log(JSON.stringify(line));

async function call(job, step, url, body, type = 'application/json') {
  const answer = await fetch(url, { method: 'POST', headers: { 'content-type': type }, body });
  const text = await answer.text();
  say({ event: 'called', name: job.name, step, status: answer.status, error: text ? JSON.parse(text).error : null });
}

const acts = {
  async done(job, url, accept) {
    accept();
    await pause(50);
    await call(job, 'progress', url, '{"progress":50}');
    await call(job, 'done', url, '{"t":"done",\n "result":{"pages":12}}');
    await call(job, 'again', url, '{"t":"done"}');
  },
  async early(job, url, accept) {
    const calling = call(job, 'done', url, '{"result":"early"}');
    await pause(100);
    accept();
    await calling;
  },
  async lines(job, url, accept) {
    accept();
    await call(job, 'nonsense', url, 'hello');
    await call(job, 'half', url, '{"log":"never kept"}\nhello', 'application/x-ndjson');
    await call(job, 'fail', url, '{"log":"no paper"}\n{"outcome":"fail","message":"no paper"}\n', 'application/x-ndjson');
  },
  async large(job, url, accept) {
    accept();
    await call(job, 'large', url, JSON.stringify({ result: 'x'.repeat(2000) }));
    await call(job, 'done', url, '{"result":1}');
  },
  async never(job, url, accept) {
    accept();
    await pause(1500);
    await call(job, 'late', url, '{"t":"done"}');
  },
  async refused(job, url, accept) {
    accept(500);
    await pause(50);
    await call(job, 'done', url, '{"t":"done"}');
  },
  async crash(job, url, accept) {
    accept();
    say({ event: 'holding', attempt: job.attempt, url });
    if (job.attempt > 1 || globalThis.held) {
      await call(job, 'old', globalThis.held, '{"result":"old"}').catch(() => {});
      await call(job, 'new', url, '{"result":"new"}');
    }
    globalThis.held = url;
  },
};

const server = createServer(async (request, response) => {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
  }
  const { job } = JSON.parse(text);
  const callback = request.headers['oxherd-callback'];
  say({ event: 'job', name: job.name, attempt: job.attempt, callback: callback ?? null });
  const accept = (status = 202) => response.writeHead(status, { 'content-type': 'application/json' }).end('{"queued":true}');
  await acts[job.name](job, callback, accept);
});
server.listen(0, '127.0.0.1', () => say({ event: 'ready', url: `http://127.0.0.1:${server.address().port}` }));
process.stdin.on('data', () => process.exit(0)).on('end', () => process.exit(0));
