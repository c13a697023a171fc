/** Every kind of wait between attempts, and the answer of a strategy that there is nothing to be tried again. */
export async function play(stage) {
  const queue = await stage.queue();
  const strategy = (_attempts, type) => (type === 'stop' ? -1 : 77);
  const worker = await stage.worker({ settings: { backoffStrategy: strategy } });
  await queue.add('fixed', {}, { attempts: 2, backoff: 1000 });
  await queue.add('exp', {}, { attempts: 3, backoff: { type: 'exponential', delay: 500 } });
  await queue.add('custom', {}, { attempts: 2, backoff: { type: 'mine' } });
  await queue.add('stop', {}, { attempts: 5, backoff: { type: 'stop' } });
  const failNext = async (token, attempt) => {
    const job = await stage.fetch(worker, token);
    await job.moveToFailed(new Error(`e${attempt} ${job.name}`), token, false);
  };
  for (const token of ['t1', 't2', 't3', 't4']) {
    await failNext(token, 1);
  }
  await stage.checkpoint('all failed once');
  stage.advance(1000);
  for (const token of ['t5', 't6', 't7']) {
    await failNext(token, 2);
  }
  await stage.checkpoint('failed twice');
}
