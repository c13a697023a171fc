/** Jobs before and during a pause, and the resume. */
export async function play(stage) {
  const queue = await stage.queue();
  await queue.add('a', {});
  await queue.add('b', {});
  await queue.pause();
  await stage.checkpoint('paused', { isPaused: await queue.isPaused() });
  await queue.add('c', {});
  await queue.add('d', {}, { priority: 1 });
  await queue.add('e', {}, { delay: 100 });
  stage.advance(100);
  const worker = await stage.worker();
  const fetched = String(await stage.fetch(worker, 'tok-1'));
  const [first] = await queue.getJobs(['waiting', 'paused'].slice(0, stage.release === 5 ? 2 : 1), 0, 0, true);
  await stage.checkpoint('added while paused, fetch attempted', {
    fetched,
    counts: await queue.getJobCounts(),
    stateOfFirst: await first.getState(),
  });
  await queue.resume();
  await stage.checkpoint('resumed');
  const job = await stage.fetch(worker, 'tok-2');
  await stage.checkpoint('fetched', { fetched: job.name });
}
