/** Failed attempts with others left and no backoff: at the tail, at the head for lifo, by priority; then for good. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  await queue.add('a', {}, { attempts: 2 });
  await queue.add('b', {});
  const a = await stage.fetch(worker, 't1');
  // asking for the next job brings none
  const next = await a.moveToFailed(new Error('e1 a'), 't1', true);
  await stage.checkpoint('a failed once, back at the tail', { next: next ?? [] });

  await queue.add('l', {}, { attempts: 2, lifo: true, backoff: 0 });
  await queue.add('p', {}, { attempts: 3, priority: 2 });
  await queue.add('p2', {}, { priority: 2 });
  await stage.fail(worker, 't2', 'e1 l');
  await stage.checkpoint('l failed once, back at the head');
  await stage.fail(worker, 't3', 'e2 l');
  await stage.complete(worker, 't4', 'b');
  await stage.fail(worker, 't5', 'e2 a');
  const p = await stage.fetch(worker, 't6');
  await queue.add('d', {}, { attempts: 2, delay: 100 });
  await queue.add('dp', {}, { delay: 100, priority: 1 });
  stage.advance(100);
  await p.moveToFailed(new Error('e1 p'), 't6', false);
  await stage.checkpoint('p failed once behind p2, due jobs before it');

  const d = await stage.fetch(worker, 't7');
  await stage.redis.del('bull:q:6:lock');
  const failing = () => stage.attempt(() => d.moveToFailed(new Error('e1 d'), 't7', false));
  const missingLock = await failing();
  await stage.redis.set('bull:q:6:lock', 'other');
  await stage.checkpoint('not ours any more', { missingLock, otherLock: await failing() });
}
