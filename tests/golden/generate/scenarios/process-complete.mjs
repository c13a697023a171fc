/** Three jobs completed: one that takes the next in the same call, one without a value, the last. */
export async function play(stage) {
  const queue = await stage.queue();
  for (const name of ['a', 'b', 'c']) {
    await queue.add(name, {});
  }
  const worker = await stage.worker({ name: 'w1', lockDuration: 30000 });
  const a = await stage.fetch(worker, 'tok-1');
  await stage.checkpoint('a active');
  stage.advance(10);
  const [fields, id, rateLimitDelay, delayUntil] = await a.moveToCompleted({ x: 1 }, 'tok-1', true);
  await stage.checkpoint('a completed, b fetched in the same call', {
    next: { id, name: fields.name, rateLimitDelay, delayUntil },
  });
  const b = stage.library.Job.fromJSON(worker, fields, id);
  await b.moveToCompleted(undefined, 'tok-1', false);
  const c = await stage.fetch(worker, 'tok-2');
  const last = await c.moveToCompleted('done', 'tok-2', false);
  const completeAgain = await stage.attempt(() => c.moveToCompleted('done', 'tok-2', false));
  await stage.checkpoint('queue drained', { last: last ?? [], completeAgain });
}
