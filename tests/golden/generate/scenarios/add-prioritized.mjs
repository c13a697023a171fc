/** Jobs of three priorities and one without, then all of them served. */
export async function play(stage) {
  const queue = await stage.queue();
  for (const [name, priority] of [['p5', 5], ['p1', 1], ['p5b', 5], ['p1b', 1]]) {
    await queue.add(name, {}, { priority });
  }
  await queue.add('plain', {});
  await stage.checkpoint('added', {
    countsPerPriority: await queue.getCountsPerPriority([0, 1, 5]),
    fractional: await stage.attempt(() => queue.add('x', {}, { priority: 1.5 })),
    tooHigh: await stage.attempt(() => queue.add('x', {}, { priority: 2097152 })),
  });
  const worker = await stage.worker();
  const order = [];
  for (let job = await stage.fetch(worker, 't'); job; job = await stage.fetch(worker, 't')) {
    order.push(job.name);
    await job.moveToCompleted('ok', 't', false);
  }
  await stage.checkpoint('drained', { order });
}
