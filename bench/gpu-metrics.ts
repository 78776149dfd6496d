/** The exact metrics of a model on a GPU, against the upload bandwidth and the processor in the same run. */
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

/** Bytes of one transfer, as a large f16 piece of a tensor has, and how often they go over. */
const UPLOAD_BYTES = 32 << 20;
const UPLOADS = 16;
/** Tensors under way at a time: one transfers while another computes. */
const TENSORS_AT_ONCE = 3;

export interface MetricsOptions {
  readonly threads: number;
  /** Only so many tensors, the first. */
  readonly tensors?: number | undefined;
}

/** Read every weight. Returns the figures, or why there is no GPU to measure. */
export async function measureMetricsOnGpu(
  path: string,
  { threads, tensors: limit = Number.POSITIVE_INFINITY }: MetricsOptions,
): Promise<Record<string, unknown> | string> {
  const processor = () =>
    nativeBackendProblem() === undefined ? nativeBackend({ threads }) : referenceBackend({ threads });
  const gpu = await openWebGpuBackend(processor());
  if (typeof gpu === "string") return gpu;
  const cpu = processor();
  const file = await openLocalModel(path);
  const tensors = file.model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined).slice(0, limit);
  const bytes = tensors.reduce((sum, tensor) => sum + tensor.bytes, 0);
  console.log(`metrics: ${tensors.length} tensors, ${(bytes / 1e6).toFixed(1)} MB, on ${gpu.description}\n`);

  const uploadBytesPerSecond = await measureUpload();
  console.log(`| what | seconds | GB/s of stored weights | share of upload |\n|---|---|---|---|`);
  console.log(`| upload alone | | ${(uploadBytesPerSecond / 1e9).toFixed(2)} | |`);
  const timed = async <Result>(name: string, work: (tensor: TensorInfo) => Promise<Result>) => {
    const queue = createWorkQueue(TENSORS_AT_ONCE);
    const started = performance.now();
    const results = await Promise.all(tensors.map((tensor) => queue.run(() => work(tensor))));
    const seconds = (performance.now() - started) / 1e3;
    const share = `${((100 * bytes) / seconds / uploadBytesPerSecond).toFixed(1)} %`;
    console.log(`| ${name} | ${seconds.toFixed(2)} | ${(bytes / 1e9 / seconds).toPrecision(3)} | ${share} |`);
    return { seconds, results };
  };
  const onGpu = await timed("sums and σ₁ on the GPU", (tensor) => sumsOf(file, tensor, gpu));
  const all = await timed("all metrics, webgpu", (tensor) => metricsOf(file, tensor, gpu));
  const byProcessor = await timed(`all metrics, ${cpu.name}`, (tensor) => metricsOf(file, tensor, cpu));
  const difference = Math.max(...all.results.map((result, at) => largestDifference(result, byProcessor.results[at])));
  console.log(`\nlargest relative difference of a metric: ${difference.toExponential(1)}; ${gpu.description}`);
  const figures = {
    gpu: gpu.description,
    processor: cpu.description,
    weightBytes: bytes,
    uploadBytesPerSecond,
    gpuSumsSeconds: onGpu.seconds,
    allMetricsSeconds: all.seconds,
    processorSeconds: byProcessor.seconds,
    ratioToProcessor: all.seconds / byProcessor.seconds,
    difference,
  };
  await Promise.all([gpu.close(), cpu.close(), file.close()]);
  return figures;
}

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

async function metricsOf(file: ModelFile, tensor: TensorInfo, backend: Backend): Promise<MeasuredMetrics> {
  return measureMetrics(backend, await matricesOf(file, tensor, backend), { exact: true });
}

async function sumsOf(file: ModelFile, tensor: TensorInfo, gpu: Backend): Promise<void> {
  for await (const matrix of await matricesOf(file, tensor, gpu)) {
    await Promise.all([gpu.moments(matrix), gpu.osqe(matrix), gpu.sigmaMax(matrix)]);
  }
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
