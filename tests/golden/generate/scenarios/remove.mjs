/** One job of every state removed, locked ones refused, whole families. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  await queue.add('completed', {}, { jobId: 'c' });
  await stage.complete(worker, 't1', 'ok');
  await queue.add('failed', {}, { jobId: 'f' });
  await stage.fail(worker, 't1', 'boom');
  await queue.add('locked', {}, { jobId: 'l' });
  await stage.fetch(worker, 't2');
  await queue.add('unlocked', {}, { jobId: 'u' });
  await stage.fetch(worker, 't3');
  await stage.redis.del('bull:q:u:lock');
  const waiting = await queue.add('waiting', {}, { jobId: 'w', deduplication: { id: 'd' } });
  await waiting.log('a row');
  await queue.add('prioritized', {}, { jobId: 'p', priority: 1 });
  await queue.add('delayed', {}, { jobId: 'd', delay: 1000 });
  const results = [];
  for (const id of ['c', 'f', 'l', 'u', 'w', 'p', 'd', 'missing']) {
    results.push([id, await queue.remove(id)]);
  }
  await stage.checkpoint('one of every state', { results });

  await stage.redis.hset('bull:q:stray', 'name', 'stray', 'data', '{}', 'opts', '{}');
  await stage.checkpoint('one in no state', { stray: await queue.remove('stray') });

  const flows = await stage.flows();
  const tree = (id, children) => ({ name: id, queueName: 'q', opts: { jobId: id }, children });
  await flows.add(tree('p1', [tree('k1'), tree('m1', [tree('k2')])]));
  await stage.checkpoint('a family');
  const taken = await stage.fetch(worker, 't4');
  await stage.checkpoint('a locked descendant', { taken: taken.id, removed: await queue.remove('p1') });
  await taken.moveToCompleted('ok', 't4', false);
  await stage.checkpoint('the family is gone', { removed: await queue.remove('p1') });

  await flows.add(tree('p2', [tree('k3')]));
  await stage.checkpoint('parent without its child', { removed: await queue.remove('p2', { removeChildren: false }) });
  await stage.checkpoint('the child left behind', { removed: await queue.remove('k3') });
  await flows.add(tree('p3', [tree('k4')]));
  await stage.checkpoint('last child removed, parent released', { removed: await queue.remove('k4') });
}
