// Adds jobs with BullMQ's own telemetry add-on and prints the spans its producers made.
//
//   node traced.mjs --redis URL --queue NAME
//
// Prints {"job":NAME,"id":…} for each job and {"span":NAME,"trace":…,"id":…} for each span, {"done":true} at the end.
import { InMemorySpanExporter, NodeTracerProvider, SimpleSpanProcessor } from '@opentelemetry/sdk-trace-node';
import { BullMQOtel } from 'bullmq-otel';
import { connect, load, parseArguments, say } from './client.mjs';

const values = parseArguments({ queue: 'email' });
const spans = new InMemorySpanExporter();
new NodeTracerProvider({ spanProcessors: [new SimpleSpanProcessor(spans)] }).register();

const { Queue } = await load(values);
const queue = new Queue(values.queue, { ...connect(values), telemetry: new BullMQOtel({ tracerName: 'producer' }) });
const jobs = [
  ['plain', {}],
  ['failing', { attempts: 2 }],
  ['alone', { telemetry: { omitContext: true } }],
];
for (const [name, opts] of jobs) {
  const job = await queue.add(name, { of: 'a producer that is traced' }, opts);
  say({ job: name, id: job.id });
}
await queue.close();
for (const span of spans.getFinishedSpans()) {
  const { traceId, spanId } = span.spanContext();
  say({ span: span.name, trace: traceId, id: spanId });
}
say({ done: true });
