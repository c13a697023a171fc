/** An interval from its first iteration to its removal. */
export async function play(stage) {
  const queue = await stage.queue();
  await queue.upsertJobScheduler('s1', { every: 1000 }, { name: 'tick', data: { a: 1 }, opts: { attempts: 3 } });
  await stage.checkpoint('upserted');
  const worker = await stage.worker();
  const first = await stage.fetch(worker, 'tok-1');
  await stage.checkpoint('first iteration active', { id: first.id });
  await first.moveToCompleted('ok', 'tok-1', false);
  stage.advance(1250);
  await stage.complete(worker, 'tok-2', 'ok');
  await stage.checkpoint('second iteration completed');
  await queue.upsertJobScheduler('s1', { every: 1000 }, { name: 'tick', data: { a: 2 } });
  await stage.checkpoint('upserted again, same every');
  const current = await queue.upsertJobScheduler('s1', { every: 700 }, { name: 'tick2', data: { a: 3 } });
  await stage.checkpoint('upserted with another every', {
    scheduler: await queue.getJobScheduler('s1'),
    count: await queue.getJobSchedulersCount(),
    removeOwned: await stage.attempt(() => current.remove()),
  });
  const removed = { first: await queue.removeJobScheduler('s1'), second: await queue.removeJobScheduler('s1') };
  await stage.checkpoint('removed', removed);
}
