/** A child whose failure lets its parent go on at once, and what becomes of those it does not wait for. */
export async function play(stage) {
  await stage.queue();
  const queue = await stage.queue('child');
  const flows = await stage.flows();
  const child = (jobId, opts = {}) => ({ name: jobId, queueName: 'child', opts: { jobId, ...opts } });
  await flows.add({
    name: 'p',
    queueName: 'q',
    opts: { jobId: 'p', attempts: 2 },
    children: [child('c1', { continueParentOnFailure: true }), child('c2'), child('c3')],
  });
  const children = await stage.worker({}, 'child');
  await stage.fail(children, 't1', 'boom');
  await stage.checkpoint('c1 failed, parent released');
  const worker = await stage.worker();
  const parent = await stage.fetch(worker, 't2');
  const pending = await stage.attempt(() => parent.moveToCompleted('early', 't2', false));
  const result = {
    pending,
    ignored: await parent.getIgnoredChildrenFailures(),
    counts: await parent.getDependenciesCount(),
  };
  await stage.checkpoint('parent cannot complete', result);
  await stage.fetch(children, 't3');
  await parent.removeUnprocessedChildren();
  await stage.checkpoint('the child not begun is removed', { left: await queue.getJobCounts('active', 'waiting') });
  const c2 = await queue.getJob('c2');
  await stage.checkpoint('c2 completed', {
    state: await c2.moveToCompleted('ok', 't3', false).then(() => c2.getState()),
  });
  await parent.moveToCompleted('done', 't2', false);
  await stage.checkpoint('parent completed');
}
