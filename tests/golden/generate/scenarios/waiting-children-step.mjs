/** A job that adds children while it runs and waits for them, twice. */
export async function play(stage) {
  const queue = await stage.queue();
  const childQueue = await stage.queue('child');
  const worker = await stage.worker({ name: 'w1' });
  const children = await stage.worker({}, 'child');
  await queue.add('steps', { step: 1 }, { jobId: 'p', attempts: 2 });
  const first = await stage.fetch(worker, 't1');
  const none = await first.moveToWaitingChildren('t1');
  await stage.checkpoint('nothing to wait for', { waits: none });
  const parent = { id: 'p', queue: 'bull:q' };
  await childQueue.add('c1', {}, { jobId: 'c1', parent });
  await childQueue.add('c2', {}, { jobId: 'c2', parent, failParentOnFailure: true });
  await first.updateData({ step: 2 });
  await stage.checkpoint('children added');
  const other = await stage.attempt(() => first.moveToWaitingChildren('other'));
  const waits = await first.moveToWaitingChildren('t1');
  await stage.checkpoint('waiting', { waits, other });
  await stage.complete(children, 't2', 1);
  await stage.complete(children, 't3', 2);
  await stage.checkpoint('released');
  stage.advance(100);
  const second = await stage.fetch(worker, 't4');
  await stage.checkpoint('second step', { data: second.data, values: await second.getChildrenValues() });
  await childQueue.add('c3', {}, { jobId: 'c3', parent });
  await childQueue.add('c4', {}, { jobId: 'c4', parent, failParentOnFailure: true });
  const c3 = await second.moveToWaitingChildren('t4', { child: { id: 'c1', queue: 'bull:child' } });
  const third = await stage.fetch(children, 't5');
  const fourth = await stage.fetch(children, 't6');
  await fourth.moveToFailed(new Error('boom'), 't6', false);
  await stage.checkpoint('a child failed while the parent runs', { waitsForC1: c3 });
  const failed = await stage.attempt(() => second.moveToWaitingChildren('t4'));
  await third.moveToCompleted(3, 't5', false);
  const complete = await stage.attempt(() => second.moveToCompleted('done', 't4', false));
  await stage.checkpoint('refused', { failed, complete });
  await second.moveToFailed(new stage.library.UnrecoverableError('child boom'), 't4', false);
  await stage.checkpoint('failed');
}
