export default async (job) => ({ sum: job.data.numbers.reduce((sum, number) => sum + number, 0) });
