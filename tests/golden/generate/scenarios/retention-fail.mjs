/** What is kept of failed jobs, and what a worker's own defaults keep of both kinds. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  const fail = async (name, removeOnFail, using = worker) => {
    await queue.add(name, {}, removeOnFail === undefined ? {} : { removeOnFail });
    await stage.fail(using, 't', `${name} fails`);
  };
  await fail('gone', true);
  await fail('stays', false);
  await stage.checkpoint('removeOnFail true and false');
  for (const name of ['a', 'b', 'c']) {
    stage.advance(1000);
    await fail(name, 2);
  }
  await stage.checkpoint('count 2 after four jobs');
  stage.advance(3000);
  await fail('young', { age: 4 });
  await stage.checkpoint('age 4');
  for (const name of ['x1', 'x2', 'x3']) {
    await fail(name);
  }
  stage.advance(5000);
  await fail('limited', { age: 1, limit: 2 });
  await stage.checkpoint('age 1 limit 2');

  const keeper = await stage.worker({ removeOnFail: { count: 1 }, removeOnComplete: { count: 0 } });
  await fail('by default', undefined, keeper);
  await queue.add('done', {}, {});
  await stage.complete(keeper, 't', 'ok');
  await queue.add('own', {}, { removeOnComplete: false });
  await stage.complete(keeper, 't', 'ok');
  await stage.checkpoint("the worker's defaults");
}
