/** What goes on while a queue is paused: jobs under way end in every way, others come due, and are added. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  await queue.add('retried', {}, { attempts: 2 });
  await queue.add('back', {});
  await queue.add('done', {});
  await queue.add('prioritized', {}, { priority: 3 });
  await queue.add('rest', {});
  const [retried, back, done] = [
    await stage.fetch(worker, 't1'),
    await stage.fetch(worker, 't2'),
    await stage.fetch(worker, 't3'),
  ];
  await queue.pause();
  await stage.checkpoint('paused with three under way');
  await retried.moveToFailed(new Error('e1'), 't1', false);
  await stage.checkpoint('retried');
  await back.moveToWait('t2');
  await stage.checkpoint('put back');
  const next = await done.moveToCompleted('ok', 't3', true);
  await stage.checkpoint('completed', { next: next ?? [] });
  await queue.add('lifo', {}, { lifo: true });
  await queue.add('delayed', {}, { delay: 500 });
  await queue.add('later', {}, { delay: 9000 });
  await queue.add('second', {}, { priority: 3 });
  await stage.checkpoint('added');
  stage.advance(500);
  const fetched = String(await stage.fetch(worker, 't4'));
  await stage.checkpoint('one came due, nothing is fetched', { fetched, counts: await queue.getJobCounts() });
  await queue.resume();
  await stage.checkpoint('resumed');
  const order = [];
  for (let job = await stage.fetch(worker, 't5'); job; job = await stage.fetch(worker, 't5')) {
    order.push(job.name);
    await job.moveToCompleted('ok', 't5', false);
  }
  await stage.checkpoint('all served', { order });
}
