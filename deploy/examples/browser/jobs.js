// Shows what becomes of one tenant's jobs: gets a token from the page's own server, follows /v1/events with it, and comes
// back with a fresh one whenever that ends. Whatever is in a message only ever becomes text.

const MOST_ROWS = 200;
const PAUSE = { first: 500, longest: 30_000 };

const part = (id) => document.getElementById(id);
const rows = new Map();
let last = ''; // id of the last message, where a stream keeps them
let pause = PAUSE.first;
let wasLive = false;

/** One line for the job, the latest at the top. */
function show(message) {
  const key = JSON.stringify([message.queue, message.jobId]);
  const row = rows.get(key) ?? document.createElement('tr');
  rows.delete(key);
  rows.set(key, row);
  const cells = ['jobId', 'queue', 'name', 'status'].map((name) => cell(String(message[name] ?? '')));
  cells[3].dataset.status = message.status;
  row.replaceChildren(...cells, cell(progress(message)), cell(message.error ?? ''));
  part('jobs').prepend(row);
  if (rows.size > MOST_ROWS) {
    const [oldest, gone] = rows.entries().next().value;
    rows.delete(oldest);
    gone.remove();
  }
}

function cell(content) {
  const cell = document.createElement('td');
  cell.append(content); // a text becomes a text node, never markup
  return cell;
}

/** Handlers may report anything; a number is taken for a percentage. */
function progress(message) {
  const value = message.progress;
  if (typeof value !== 'number') return value ? JSON.stringify(value) : '';
  if (!value && 'error' in message) return '';
  const bar = document.createElement('progress');
  bar.max = 100;
  bar.value = value;
  bar.setAttribute('aria-label', `job ${message.jobId}`);
  bar.append(`${value} %`);
  return bar;
}

const tell = (text) => (part('notice').textContent = text);
const link = (text) => (part('link').textContent = text);

/** Messages may be missing: a real page would load the state of its jobs from its own server here. */
const reload = (why) => tell(`${why} What is shown of jobs that ran meanwhile may be out of date.`);

async function token() {
  const answer = await fetch(document.body.dataset.token, { cache: 'no-store' });
  if (!answer.ok) throw new Error(`no token: ${answer.status}`);
  return answer.json(); // { "token": "…", "events": "https://…/v1/events" }
}

/** Follows until it ends, for whatever reason. */
function follow({ token, events }) {
  const url = new URL(events, location.href);
  url.searchParams.set('token', token);
  if (last) url.searchParams.set('lastEventId', last);
  const source = new EventSource(url);
  return new Promise((ended) => {
    const on = (name, act) => source.addEventListener(name, (event) => act(JSON.parse(event.data), event.lastEventId));
    on('ready', () => {
      if (wasLive && !last) reload('The connection was lost for a while.');
      wasLive = true;
      pause = PAUSE.first;
      link('live');
    });
    on('status', (message, id) => {
      last = id;
      show(message);
    });
    on('missed', ({ count }) => reload(`${count} messages came too fast to be shown.`));
    on('gap', () => reload('Messages may have been lost for a while.'));
    on('end', ended);
    // EventSource would come back by itself, but with the token that may just have expired
    source.onerror = ended;
  }).finally(() => source.close());
}

for (;;) {
  link('connecting');
  try {
    await follow(await token());
  } catch (error) {
    console.warn(error);
  }
  link('not connected, trying again');
  // not all pages at once
  await new Promise((over) => setTimeout(over, pause * (0.5 + Math.random())));
  pause = Math.min(pause * 2, PAUSE.longest);
}
