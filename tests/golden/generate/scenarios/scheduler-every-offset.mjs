/** Intervals with an offset, a limit, a start and an end. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  await queue.upsertJobScheduler('offset', { every: 3000, offset: 500 }, { name: 'o' });
  await stage.checkpoint('offset');
  stage.advance(3000);
  await stage.complete(worker, 't1', 'ok');
  await stage.checkpoint('offset, first iteration completed');
  stage.advance(7000);
  await stage.complete(worker, 't2', 'ok');
  await stage.checkpoint('offset, slots missed');
  await queue.removeJobScheduler('offset');

  await queue.upsertJobScheduler('limit', { every: 1000, limit: 2 }, { name: 'l' });
  await stage.complete(worker, 't3', 'ok');
  stage.advance(1000);
  await stage.complete(worker, 't4', 'ok');
  await stage.checkpoint('limit reached');
  const again = await queue.upsertJobScheduler('limit', { every: 1000, limit: 2 }, { name: 'l' });
  await stage.checkpoint('upserted after the limit', { id: again?.id ?? null });
  await queue.removeJobScheduler('limit');
  await queue.drain(true);

  const start = Date.now() + 2500;
  await queue.upsertJobScheduler('start', { every: 1000, startDate: start, endDate: start + 1500 }, { name: 's' });
  await stage.checkpoint('start');
  stage.advance(2500);
  await stage.complete(worker, 't5', 'ok');
  stage.advance(1000);
  await stage.complete(worker, 't6', 'ok');
  await stage.checkpoint('start, two iterations completed');
  stage.advance(1000);
  const last = await stage.fetch(worker, 't7');
  await last?.moveToCompleted('ok', 't7', false);
  await stage.checkpoint('end', { fetched: last?.id ?? null });
}
