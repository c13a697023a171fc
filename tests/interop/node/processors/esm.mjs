export default async (job) => `${job.name} of an ES module`;
