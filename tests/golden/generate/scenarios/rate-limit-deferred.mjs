/** A parent that its child has failed is taken under a rate limit, and another job after it. */
export async function play(stage) {
  const queue = await stage.queue();
  await stage.queue('child');
  await queue.setGlobalRateLimit(5, 10000);
  const flows = await stage.flows();
  await flows.add({
    name: 'p',
    queueName: 'q',
    opts: { jobId: 'p' },
    children: [{ name: 'c', queueName: 'child', opts: { jobId: 'c', failParentOnFailure: true } }],
  });
  await stage.fail(await stage.worker({}, 'child'), 't1', 'boom');
  await queue.add('x', {});
  await stage.checkpoint('the parent has a deferred failure and waits');
  const processed = [];
  await stage.run((job) => processed.push(job.name));
  await stage.checkpoint('parent failed, the other completed', { processed });
}
