/** A prefix with a hash tag, which every key of the queues and every reference to a job carries. */
export async function play(stage) {
  const prefix = '{tenant}';
  const queue = await stage.queue('q', { prefix });
  await stage.queue('child', { prefix });
  const worker = await stage.worker({ prefix });
  await queue.add('a', { n: 1 });
  await queue.add('b', {}, { delay: 1000 });
  await queue.add('c', {}, { priority: 2 });
  await stage.complete(worker, 't1', 'ok');
  await stage.checkpoint('added and completed');
  const flows = await stage.flows({ prefix });
  await flows.add({
    name: 'p',
    queueName: 'q',
    prefix,
    opts: { jobId: 'p' },
    children: [
      { name: 'k1', queueName: 'child', prefix, opts: { jobId: 'k1' } },
      { name: 'k2', queueName: 'child', prefix, opts: { jobId: 'k2', failParentOnFailure: true } },
    ],
  });
  await stage.checkpoint('flow added');
  const children = await stage.worker({ prefix }, 'child');
  await stage.complete(children, 't2', 'one');
  await stage.fail(children, 't3', 'boom');
  await stage.checkpoint('one child completed, one failed the parent');
}
