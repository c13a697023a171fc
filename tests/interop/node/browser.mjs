// A real Chromium with a page open, driven over its own protocol.
//
//   node browser.mjs URL
//
// Prints {"event":"page","link","notice","rows"} whenever what is to be seen changes, and {"event":"hostile"} if something
// that came as data was run.
import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { chromium } from 'playwright-core';

const say = (line) => console.log(JSON.stringify(line));

const names = ['chromium', 'chromium-browser', 'google-chrome', 'chrome'];
const places = process.env.PATH.split(delimiter).flatMap((folder) => names.map((name) => join(folder, name)));
const executablePath = process.env.OXHERD_TEST_CHROMIUM ?? places.find(existsSync);
if (!executablePath) throw new Error('there is no chromium; run make setup');

// containers have little shared memory, and root no sandbox
const args = ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu'];
const browser = await chromium.launch({ executablePath, args });
const page = await browser.newPage();
page.on('dialog', (dialog) => {
  say({ event: 'hostile', how: 'dialog' });
  dialog.dismiss();
});
page.on('pageerror', (error) => say({ event: 'pageerror', error: String(error) }));
await page.exposeFunction('say', say);
await page.addInitScript(() => {
  document.addEventListener('DOMContentLoaded', () => {
    const text = (id) => document.getElementById(id).textContent;
    const rows = () =>
      [...document.querySelectorAll('#jobs tr')].map((row) => [...row.children].map((cell) => cell.textContent));
    const look = () => {
      window.say({ event: 'page', link: text('link'), notice: text('notice'), rows: rows() });
      // elements nobody but a message could have made
      if (document.querySelector('main img, main b, main script')) window.say({ event: 'hostile', how: 'markup' });
    };
    new MutationObserver(look).observe(document.body, { subtree: true, childList: true, characterData: true });
  });
});
await page.goto(process.argv[2]);

process.stdin.resume();
process.stdin.once('data', async () => {
  await browser.close();
  process.exit(0);
});
