// Answers when patterns come, as the parser does that BullMQ 6 uses. Each line of stdin is a question
// {zone, patterns, moments, chains: [{pattern, moment, count}, …]}, each line of stdout its answers in order: a list of
// times, with null for an end before the count was reached, or the text of a refusal.

import { createInterface } from 'node:readline';
import { CronDate, CronExpressionParser } from 'cron-parser';

function read(pattern, zone) {
  try {
    return CronExpressionParser.parse(pattern, { tz: zone, currentDate: new Date(0) });
  } catch (error) {
    return String(error.message);
  }
}

function chain(expression, from, count) {
  const times = [];
  // reading a pattern again takes longer than finding its times
  expression.reset(from);
  try {
    while (times.length < count) times.push(expression.next().getTime());
  } catch (error) {
    times.push(null);
  }
  return times;
}

for await (const line of createInterface({ input: process.stdin })) {
  const { zone, patterns, moments, chains } = JSON.parse(line);
  const expressions = patterns.map((pattern) => read(pattern, zone));
  const answers = chains.map(({ pattern, moment, count }) => {
    const expression = expressions[pattern];
    if (typeof expression === 'string') return expression;
    return chain(expression, new CronDate(new Date(moments[moment]), zone), count);
  });
  console.log(JSON.stringify(answers));
}
