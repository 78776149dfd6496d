/** All that is measured of one tensor: its metrics and the distortion of its candidate types. */
import type { Library } from "../engine/engine.ts";
import { candidateTypes } from "../ggml/candidates.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import type { ModelFile, TensorInfo } from "../gguf/model.ts";
import { importanceOf } from "../imatrix/check.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import type { Backend } from "../kernels/backend.ts";
import { isDecodable } from "../kernels/decode.ts";
import type { WorkQueue } from "../work-queue.ts";
import type { TensorAnalysis } from "./analysis.ts";
import { checkFinite, JOB_BYTES } from "./band-sums.ts";
import { measureDistortion } from "./distortion.ts";
import { aheadOf, sampleMatrices, wholeMatrices } from "./metric-sample.ts";
import { METRIC_TABLE } from "./metric-table.ts";
import { type MeasuredMetrics, measureMetrics } from "./metrics.ts";
import { createRowReader, type RowReader } from "./row-reader.ts";
import { type BandOrder, orderBands, rowLayout, SAMPLING_DESIGN, type SamplingDesign } from "./sampling.ts";

export interface MeasurementOptions {
  readonly file: ModelFile;
  readonly library: Pick<Library, "roundTrip">;
  readonly backend: Backend;
  readonly imatrix?: Pick<Imatrix, "importance"> | undefined;
  readonly seed: number;
  readonly targetRelativeSe: number;
  readonly exactMetrics: boolean;
  readonly exactDistortion: boolean;
  /** Types to measure beside the candidates, where a tensor can take them. */
  readonly types?: readonly TensorType[] | undefined;
  /** Everything that computes goes through it. */
  readonly queue: WorkQueue;
}

export interface TensorMeasurement {
  /** All but the spectral position, which needs the whole model. */
  readonly analysis: TensorAnalysis;
  readonly sigmaMax?: number;
  readonly bytesRead: number;
}

/** What the header says of a tensor. */
export function describeTensor({ name, shape, elements, type }: TensorInfo): TensorAnalysis {
  const reason = ineligibleReason({ name, shape, type });
  return {
    name,
    ...tensorClass(name),
    shape,
    elements,
    sourceType: type,
    eligible: reason === undefined,
    ...(reason !== undefined && { ineligibleReason: reason }),
  };
}

/** Measure an eligible tensor. Throws FormatError where weights are not finite. */
export async function measureTensor(tensor: TensorInfo, options: MeasurementOptions): Promise<TensorMeasurement> {
  const { file, imatrix, seed } = options;
  const reader = createRowReader(file, tensor);
  const layout = rowLayout(tensor.shape);
  const design = options.exactDistortion ? wholeDesign(reader.rowBytes) : SAMPLING_DESIGN;
  const order = orderBands(layout, tensor.name, seed);
  const found = imatrix && importanceOf(imatrix, tensor);
  const importance = found instanceof Float32Array ? found : undefined;

  const measured = await metricsOf(tensor, reader, order, options);
  const { distortion, powerless } = await measureDistortion({
    ...options,
    path: file.model.path,
    reader,
    order: orderBands(layout, tensor.name, seed, design),
    types: candidateTypes(tensor, { importance: importance !== undefined, also: options.types }),
    firstBands: design.firstBands,
    exact: options.exactDistortion,
    ...(importance && { importance }),
  });
  return {
    bytesRead: reader.bytesRead(),
    ...(measured.sigmaMax !== undefined && { sigmaMax: measured.sigmaMax }),
    analysis: {
      ...describeTensor(tensor),
      metrics: measured.metrics,
      omitted: measured.omitted,
      distortion,
      ...(found !== undefined && { importance: found instanceof Float32Array ? "used" : found }),
      ...(powerless && { powerless }),
      rowsRead: reader.rowsRead(),
      rows: layout.matrices * layout.matrixRows,
    },
  };
}

/** Where every row is quantized no standard error is needed, and a band may be as large as a job. */
function wholeDesign(rowBytes: number): SamplingDesign {
  return { ...SAMPLING_DESIGN, bandRows: Math.max(1, Math.floor(JOB_BYTES / rowBytes)) };
}

async function metricsOf(
  tensor: TensorInfo,
  reader: RowReader,
  order: BandOrder,
  { backend, queue, seed, exactMetrics, file }: MeasurementOptions,
): Promise<MeasuredMetrics> {
  if (!isDecodable(tensor.type)) return withoutMetrics(tensor.type);
  const pieces = exactMetrics ? wholeMatrices(reader, order, backend) : sampleMatrices(reader, order, seed, backend);
  // read while others compute
  const sample = await aheadOf(pieces);
  const measured = await queue.run(() => measureMetrics(backend, sample, { exact: exactMetrics }));
  checkFinite(file.model.path, tensor.name, measured.nonFinite, reader.rowsRead() * (tensor.shape[0] ?? 1));
  return measured;
}

function withoutMetrics(type: TensorType): MeasuredMetrics {
  const reason = isQuantizedType(type) ? "source is quantized" : `source is ${type}`;
  return { metrics: {}, omitted: Object.fromEntries(METRIC_TABLE.map(({ name }) => [name, reason])), nonFinite: 0 };
}
