// Adds two children to the queue its data names, waits for them, and answers their values.
const { Queue, WaitingChildrenError } = require(process.env.BULLMQ);

module.exports = async (job, token) => {
  if (job.data.step !== 'wait') {
    const queue = new Queue(job.data.queue, { connection: { path: job.data.redis } });
    const parent = { id: job.id, queue: job.queueQualifiedName };
    await queue.addBulk(['a', 'b'].map((name) => ({ name, data: {}, opts: { parent } })));
    await queue.close();
    await job.updateData({ ...job.data, step: 'wait' });
  }
  if (await job.moveToWaitingChildren(token)) {
    throw new WaitingChildrenError();
  }
  const values = Object.values(await job.getChildrenValues());
  return { values: values.sort(), counts: await job.getDependenciesCount(), starts: job.attemptsStarted };
};
