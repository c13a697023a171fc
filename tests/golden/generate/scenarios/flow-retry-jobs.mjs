/** All failed or completed children put back at once: their parents wait for them again. */
export async function play(stage) {
  await stage.queue();
  const queue = await stage.queue('child');
  const children = await stage.worker({}, 'child');
  const flows = await stage.flows();
  const family = (parent, child, opts = {}) =>
    flows.add({
      name: parent,
      queueName: 'q',
      opts: { jobId: parent },
      children: [
        { name: child, queueName: 'child', opts: { jobId: child, ...opts } },
        { name: 'rest', queueName: 'child', opts: { jobId: `${child}-rest`, delay: 60000 } },
      ],
    });
  await family('p1', 'fpof', { failParentOnFailure: true });
  await family('p2', 'idof', { ignoreDependencyOnFailure: true });
  await family('p3', 'cpof', { continueParentOnFailure: true });
  await family('p4', 'none');
  await family('p5', 'done');
  for (const token of ['t1', 't2', 't3', 't4']) {
    await stage.fail(children, token, 'boom');
  }
  await stage.complete(children, 't5', 'ok');
  await stage.checkpoint('four failed, one completed');
  await queue.retryJobs({ state: 'failed' });
  await stage.checkpoint('failed ones retried');
  await queue.retryJobs({ state: 'completed' });
  await stage.checkpoint('completed one retried');
  for (const token of ['t1', 't2', 't3', 't4', 't5']) {
    await stage.complete(children, token, 'second');
  }
  await stage.checkpoint('all completed');
}
