/** A worker that starts a job twice at most: one that fails, and one that is put off without being charged. */
export async function play(stage) {
  const queue = await stage.queue();
  const options = { name: 'w1', maxStartedAttempts: 2 };
  await queue.add('fails', {}, { attempts: 5 });
  const starts = [];
  const worker = await stage.run((job) => {
    starts.push(job.attemptsStarted);
    throw new Error(`e${job.attemptsStarted}`);
  }, options);
  await stage.checkpoint('failed twice', { starts });
  await worker.close();

  await queue.add('later', {}, { attempts: 5 });
  const byHand = await stage.worker({ maxStartedAttempts: 2 });
  for (const token of ['t1', 't2']) {
    const job = await stage.fetch(byHand, token);
    await job.moveToDelayed(Date.now() + 100, token);
    stage.advance(100);
  }
  await stage.checkpoint('put off twice');
  const more = [];
  await stage.run((job) => more.push(job.attemptsStarted), options);
  await stage.checkpoint('started once too often', { starts: more });
}
