/** Jobs without options, a custom id twice, and ids that are refused. */
export async function play(stage) {
  const queue = await stage.queue();
  await stage.checkpoint('queue opened');
  await queue.add('a', { n: 1 });
  await queue.add('b', { n: 2 });
  await stage.checkpoint('two jobs added');
  await queue.add('c', undefined, { jobId: 'custom-1' });
  await stage.checkpoint('custom id added');
  const add = (jobId) => stage.attempt(async () => (await queue.add('x', {}, { jobId })).id);
  await stage.checkpoint('duplicates and invalid ids', {
    duplicateReturns: await add('custom-1'),
    zero: await add('0'),
    zeroColon: await add('0:x'),
    integer: await add('12'),
    oneColon: await add('a:b'),
    twoColons: await add('a:b:c'),
  });
}
