/** A parent in one queue, two children in another, and at the end all removed together. */
export async function play(stage) {
  const parents = await stage.queue('parent');
  await stage.queue('child');
  const flows = await stage.flows();
  const { job: parent } = await flows.add({
    name: 'p',
    queueName: 'parent',
    data: { p: 1 },
    opts: { jobId: 'p1' },
    children: [
      { name: 'c', queueName: 'child', data: { c: 1 }, opts: { jobId: 'c1' } },
      { name: 'c', queueName: 'child', data: { c: 2 }, opts: { jobId: 'c2', delay: 500 } },
    ],
  });
  await stage.checkpoint('added');
  const children = await stage.worker({}, 'child');
  await stage.complete(children, 't1', { r: 1 });
  await stage.checkpoint('c1 completed');
  stage.advance(500);
  await stage.complete(children, 't2', 'two');
  await stage.checkpoint('c2 completed, parent waiting');
  const worker = await stage.worker({}, 'parent');
  const fetched = await stage.fetch(worker, 't3');
  const result = { values: await fetched.getChildrenValues(), counts: await fetched.getDependenciesCount() };
  await fetched.moveToCompleted('parent-done', 't3', false);
  await stage.checkpoint('parent completed', result);
  await parents.remove(parent.id);
  await stage.checkpoint('parent removed with children');
}
