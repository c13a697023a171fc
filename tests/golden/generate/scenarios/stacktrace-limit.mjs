/** Three failed attempts each, of which all, two and none are kept. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  await queue.add('all', {}, { attempts: 3 });
  await queue.add('two', {}, { attempts: 3, stackTraceLimit: 2 });
  await queue.add('none', {}, { attempts: 3, stackTraceLimit: 0 });
  for (const attempt of [1, 2, 3]) {
    for (const token of ['t1', 't2', 't3']) {
      const job = await stage.fetch(worker, token);
      await job.moveToFailed(new Error(`e${attempt} ${job.name}`), token, false);
    }
    await stage.checkpoint(`${attempt} failed`);
  }
}
