/**
 * Exact metrics of a model on a GPU, against the upload bandwidth and the processor in the same run:
 * `npx tsx bench/gpu.ts MODEL [--threads N] [--tensors N]` reads every weight of the (first N) tensors. It prints the time
 * and GB/s of stored weights for what runs on the GPU alone (moments, quantization errors, σ₁), for all metrics (window
 * eigenvalues stay on the processor), and for all metrics on the processor, with the largest difference between them.
 * A program that plays a GPU is measured too, and named as such. Generate a model with bench/generate-model.ts.
 */
import { availableParallelism, cpus } from "node:os";
import { parseArgs } from "node:util";
import { aheadOf, wholeMatrices } from "../src/analyze/metric-sample.ts";
import { type MeasuredMetrics, measureMetrics } from "../src/analyze/metrics.ts";
import { createRowReader } from "../src/analyze/row-reader.ts";
import { orderBands, rowLayout, SAMPLING_DESIGN } from "../src/analyze/sampling.ts";
import { ineligibleReason } from "../src/ggml/eligibility.ts";
import type { ModelFile, TensorInfo } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import type { Backend, Matrix } from "../src/kernels/backend.ts";
import { nativeBackend, nativeBackendProblem } from "../src/kernels/native.ts";
import { referenceBackend } from "../src/kernels/reference.ts";
import { openDawn, openDevice } from "../src/kernels/webgpu/adapter.ts";
import { GpuDevice } from "../src/kernels/webgpu/gpu-device.ts";
import { openWebGpuBackend } from "../src/kernels/webgpu.ts";
import { createWorkQueue } from "../src/work-queue.ts";
import { machineName, recordResult } from "./results.ts";

/** Bytes of one transfer, as a large f16 piece of a tensor has, and how often they go over. */
const UPLOAD_BYTES = 32 << 20;
const UPLOADS = 16;
/** Tensors under way at a time: one transfers while another computes. */
const TENSORS_AT_ONCE = 3;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { threads: { type: "string", default: String(availableParallelism()) }, tensors: { type: "string" } },
});
const [path] = positionals;
if (path === undefined) {
  console.error("usage: npx tsx bench/gpu.ts MODEL [--threads N] [--tensors N]");
  process.exit(2);
}
const threads = Number(values.threads);
const processor = () =>
  nativeBackendProblem() === undefined ? nativeBackend({ threads }) : referenceBackend({ threads });
const gpu = await openWebGpuBackend(processor());
if (typeof gpu === "string") {
  console.error(`no GPU to measure: ${gpu}`);
  process.exit(1);
}
const cpu = processor();
const file = await openLocalModel(path);
const limit = values.tensors === undefined ? Number.POSITIVE_INFINITY : Number(values.tensors);
const tensors = file.model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined).slice(0, limit);
const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
console.log(`${cpus()[0]?.model}, ${machineName()}\nGPU: ${gpu.description}\nprocessor: ${cpu.description}`);
console.log(`${path}: ${tensors.length} tensors, ${(bytes / 1e6).toFixed(1)} MB\n`);

const uploadBytesPerSecond = await measureUpload();
console.log(`| what | seconds | GB/s of stored weights | share of upload |\n|---|---|---|---|`);
console.log(`| upload alone | | ${(uploadBytesPerSecond / 1e9).toFixed(2)} | |`);
const onGpu = await timed("sums and σ₁ on the GPU", (tensor) => eachMatrix(tensor, gpu, sumsOf));
const all = await timed("all metrics, webgpu", (tensor) => metricsOf(tensor, gpu));
const byProcessor = await timed(`all metrics, ${cpu.name}`, (tensor) => metricsOf(tensor, cpu));
const difference = Math.max(...all.results.map((result, at) => largestDifference(result, byProcessor.results[at])));
console.log(`\nlargest relative difference of a metric: ${difference.toExponential(1)}; ${gpu.description}`);
await recordResult({
  bench: "gpu",
  figures: {
    gpu: gpu.description,
    processor: cpu.description,
    weightBytes: bytes,
    uploadBytesPerSecond,
    gpuSumsSeconds: onGpu.seconds,
    allMetricsSeconds: all.seconds,
    processorSeconds: byProcessor.seconds,
    difference,
  },
});
await Promise.all([gpu.close(), cpu.close(), file.close()]);

/** Bytes per second of transfers that nothing else waits for; the fastest of three rounds. */
async function measureUpload(): Promise<number> {
  const device = new GpuDevice(await openDevice(openDawn));
  const buffer = device.createBuffer(UPLOAD_BYTES);
  const data = new Uint8Array(UPLOAD_BYTES).fill(1);
  let best = 0;
  for (let round = 0; round < 3; round++) {
    const started = performance.now();
    for (let upload = 0; upload < UPLOADS; upload++) device.write(buffer, data);
    await device.read(buffer, 4);
    best = Math.max(best, (UPLOADS * UPLOAD_BYTES) / ((performance.now() - started) / 1e3));
  }
  device.close();
  return best;
}

async function timed<Result>(name: string, work: (tensor: TensorInfo) => Promise<Result>) {
  const queue = createWorkQueue(TENSORS_AT_ONCE);
  const started = performance.now();
  const results = await Promise.all(tensors.map((tensor) => queue.run(() => work(tensor))));
  const seconds = (performance.now() - started) / 1e3;
  const share = `${((100 * bytes) / seconds / uploadBytesPerSecond).toFixed(1)} %`;
  console.log(`| ${name} | ${seconds.toFixed(2)} | ${(bytes / 1e9 / seconds).toPrecision(3)} | ${share} |`);
  return { seconds, results };
}

async function metricsOf(tensor: TensorInfo, backend: Backend): Promise<MeasuredMetrics> {
  return measureMetrics(backend, await matricesOf(file, tensor, backend), { exact: true });
}

async function eachMatrix(tensor: TensorInfo, backend: Backend, use: (matrix: Matrix) => Promise<unknown>) {
  for await (const matrix of await matricesOf(file, tensor, backend)) await use(matrix);
}

function sumsOf(matrix: Matrix): Promise<unknown> {
  return Promise.all([
    (gpu as Backend).moments(matrix),
    (gpu as Backend).osqe(matrix),
    (gpu as Backend).sigmaMax(matrix),
  ]);
}

function matricesOf(model: ModelFile, tensor: TensorInfo, backend: Backend): Promise<AsyncIterable<Matrix>> {
  const order = orderBands(rowLayout(tensor.shape), tensor.name, 0, SAMPLING_DESIGN);
  return aheadOf(wholeMatrices(createRowReader(model, tensor), order, backend));
}

/** Over all numbers of the metrics. */
function largestDifference(found: unknown, expected: unknown): number {
  if (typeof expected === "number") return Math.abs((found as number) - expected) / Math.max(Math.abs(expected), 1e-3);
  if (typeof expected !== "object" || expected === null) return 0;
  const inner = Object.entries(expected).map(([key, value]) => {
    return largestDifference((found as Record<string, unknown> | undefined)?.[key], value);
  });
  return Math.max(0, ...inner);
}
