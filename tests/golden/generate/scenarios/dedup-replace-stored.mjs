/** An owner with a job stored to follow it is delayed again, and then replaced. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  const add = async (v, deduplication, opts = {}) =>
    (await queue.add('a', { v }, { deduplication: { id: 'd', ...deduplication }, ...opts })).id;
  await add(1, { keepLastIfActive: true }, { attempts: 2, backoff: 1000 });
  const first = await stage.fetch(worker, 't1');
  await add(2, { keepLastIfActive: true });
  await first.moveToFailed(new Error('once'), 't1', false);
  await stage.checkpoint('owner delayed, a job stored');
  const id = await add(3, { keepLastIfActive: true, replace: true });
  await stage.checkpoint('owner replaced', { id });
  await stage.complete(worker, 't2', 'ok');
  await stage.checkpoint('replacement completed');
}
