/** keepLastIfActive with a ttl: no ttl is set, and the last add follows completion and failure alike. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  const add = async (v, opts = {}) =>
    (await queue.add('a', { v }, { deduplication: { id: 'd', ttl: 5000, keepLastIfActive: true }, ...opts })).id;
  await stage.checkpoint('first', { id: await add(1) });
  await stage.checkpoint('second while the first waits', { id: await add(2) });
  const first = await stage.fetch(worker, 't1');
  const ids = [await add(3), await add(4, { delay: 500, priority: 2 })];
  await stage.checkpoint('two while the first is active', { ids });
  stage.advance(50);
  await first.moveToCompleted('ok', 't1', false);
  await stage.checkpoint('completed, the last follows delayed');
  stage.advance(500);
  const second = await stage.fetch(worker, 't2');
  await stage.checkpoint('follower active', { data: second.data, third: await add(5, { attempts: 2 }) });
  await second.moveToFailed(new Error('boom'), 't2', false);
  await stage.checkpoint('failed, the next follows');
  const third = await stage.fetch(worker, 't3');
  await add(6);
  await third.moveToFailed(new Error('once'), 't3', false);
  await stage.checkpoint('retried, the stored one waits on');
  await stage.complete(worker, 't4', 'ok');
  await stage.complete(worker, 't5', 'ok');
  await stage.checkpoint('all done');
}
