/** Parents over children of which some are there already, in several states. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  const flows = await stage.flows();
  const node = (jobId, children) => ({ name: jobId, queueName: 'q', opts: { jobId }, children });
  await queue.add('done', {}, { jobId: 'done' });
  await stage.complete(worker, 't1', { r: 1 });
  await queue.add('broken', {}, { jobId: 'broken' });
  await stage.fail(worker, 't2', 'boom');
  await queue.add('early', {}, { jobId: 'early' });
  await flows.add(node('p1', [node('broken'), node('early')]));
  await stage.checkpoint('one failed, one waiting');
  await stage.complete(worker, 't3', 2);
  await stage.checkpoint('the waiting one completed');
  await (await queue.getJob('broken')).retry();
  await stage.complete(worker, 't4', 3);
  await stage.checkpoint('the failed one retried and completed, parent released');
  await queue.add('again', {}, { jobId: 'done' });
  const orphan = { jobId: 'x', parent: { id: 'p9', queue: 'bull:q' } };
  const missingParent = await stage.attempt(async () => (await queue.add('x', {}, orphan)).id);
  await stage.checkpoint('a duplicate without a parent, a parent that is not there', { missingParent });
  await flows.add(node('p2', [node('done'), node('new')]));
  await stage.checkpoint('one completed, one new');
}
