// What a BullMQ Worker takes as its sandbox, unchanged.
module.exports = async (job) => {
  await job.log(`rendering for ${job.data.to ?? 'nobody'}`);
  return { rendered: job.name, by: process.version };
};
