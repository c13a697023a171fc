/** Paused by v6, which leaves waiting jobs where they are; added to by v5, which does not; resumed by v5. */
export const mixed = true;

export async function play(stage) {
  const [v5, v6] = [stage.with(5), stage.with(6)];
  const newer = await v6.queue();
  await newer.add('a', {});
  await newer.add('b', {});
  await newer.pause();
  const older = await v5.queue();
  await older.add('c', {});
  const worker = await v5.worker();
  const fetched = String(await v5.fetch(worker, 'tok-1'));
  await stage.checkpoint('paused by v6, c added by v5', { fetched });
  await older.resume();
  await stage.checkpoint('resumed by v5', {
    v5counts: await older.getJobCounts('waiting', 'paused'),
    v6counts: await newer.getJobCounts(),
  });
}
