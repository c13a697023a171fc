/** A child that is there already and whose parent is gone is given another parent. */
export async function play(stage) {
  const queue = await stage.queue();
  const worker = await stage.worker();
  const flows = await stage.flows();
  const node = (jobId, children) => ({ name: jobId, queueName: 'q', opts: { jobId }, children });
  await flows.add(node('p1', [node('c1')]));
  await queue.remove('p1', { removeChildren: false });
  await stage.checkpoint('the parent is gone');
  await flows.add(node('p2', [node('c1')]));
  await stage.checkpoint('another parent');
  await stage.complete(worker, 't1', 'ok');
  await stage.checkpoint('the child completed');
}
