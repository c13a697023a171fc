/** The priority of jobs changed in every state that allows it, and in others. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  const [a, b, p5, p5b, later] = [
    await queue.add('a', {}),
    await queue.add('b', {}),
    await queue.add('p5', {}, { priority: 5 }),
    await queue.add('p5b', {}, { priority: 5 }),
    await queue.add('later', {}, { delay: 1000 }),
  ];
  await a.changePriority({ priority: 5 });
  await stage.checkpoint('waiting to 5');
  await p5.changePriority({ priority: 2 });
  await p5b.changePriority({ priority: 2, lifo: true });
  await stage.checkpoint('5 to 2, one of them in front');
  await p5.changePriority({ priority: 0 });
  await stage.checkpoint('2 to none');
  await b.changePriority({ lifo: true });
  await stage.checkpoint('none to none, in front');
  await later.changePriority({ priority: 7 });
  await stage.checkpoint('delayed');
  const taken = await stage.fetch(worker, 't1');
  await taken.changePriority({ priority: 9 });
  await stage.checkpoint('active', { taken: taken.name });
  await taken.moveToCompleted('ok', 't1', false);
  await taken.changePriority({ priority: 8 });
  await queue.remove(p5.id);
  const missing = await stage.attempt(() => p5.changePriority({ priority: 1 }));
  await stage.checkpoint('completed, and one that is gone', { missing });
  stage.advance(1000);
  const order = [];
  for (let job = await stage.fetch(worker, 't2'); job; job = await stage.fetch(worker, 't2')) {
    order.push(job.name);
    await job.moveToCompleted('ok', 't2', false);
  }
  await stage.checkpoint('all served', { order });
}
