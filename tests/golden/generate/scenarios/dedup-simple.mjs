/** One job at a time for an id; the key goes with the owner's completion or removal. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  const add = async (v) => (await queue.add('a', { v }, { deduplication: { id: 'd' } })).id;
  const result = { first: await add(1), second: await add(2), owner: await queue.getDeduplicationJobId('d') };
  await stage.checkpoint('second deduplicated', result);
  await stage.complete(worker, 't1', 'ok');
  await stage.checkpoint('key released on completion');
  const third = await add(3);
  await stage.checkpoint('new window', { third });
  await queue.remove(third);
  const noId = await stage.attempt(() => queue.add('x', {}, { deduplication: {} }));
  await stage.checkpoint('owner removed', { noId });
}
