/** All that is measured of one tensor: its metrics and the distortion of its candidate types. */
import type { Library } from "../engine/engine.ts";
import { candidateTypes } from "../ggml/candidates.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import { isQuantizedType, rowBytes, type TensorType } from "../ggml/tensor-types.ts";
import type { ModelFile, TensorInfo } from "../gguf/model.ts";
import { importanceOf } from "../imatrix/check.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import type { Backend } from "../kernels/backend.ts";
import { isDecodable } from "../kernels/decode.ts";
import type { WorkQueue } from "../work-queue.ts";
import type { TensorAnalysis } from "./analysis.ts";
import { type BandSource, checkFinite, JOB_BYTES } from "./band-sums.ts";
import { type DistortionJob, type DistortionResult, measureDistortion } from "./distortion.ts";
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
  const reader = createRowReader(options.file, tensor);
  const design = options.exactDistortion ? wholeDesign(tensor) : SAMPLING_DESIGN;
  const source = distortionSource(tensor, reader, design, options);
  const order = orderBands(rowLayout(tensor.shape), tensor.name, options.seed);
  const metrics = await metricsOf(tensor, reader, order, options);
  const { firstBands } = design;
  const distortion = await measureDistortion({ ...source, firstBands, exact: options.exactDistortion });
  const read = { bytesRead: reader.bytesRead(), rowsRead: reader.rowsRead() };
  return describeMeasured(tensor, { metrics, distortion, ...read }, options);
}

/** What the distortion of a tensor is measured with. */
export function distortionSource(
  tensor: TensorInfo,
  reader: RowReader,
  design: SamplingDesign,
  options: MeasurementOptions,
): BandSource & Pick<DistortionJob, "types" | "targetRelativeSe"> {
  const { importance } = importanceIn(tensor, options);
  return {
    ...options,
    path: options.file.model.path,
    reader,
    order: orderBands(rowLayout(tensor.shape), tensor.name, options.seed, design),
    types: typesOf(tensor, options),
    ...(importance && { importance }),
  };
}

/** Types that are measured of a tensor. */
export function typesOf(tensor: TensorInfo, options: Pick<MeasurementOptions, "imatrix" | "types">): TensorType[] {
  const { importance } = importanceIn(tensor, options);
  return candidateTypes(tensor, { importance: importance !== undefined, also: options.types });
}

function importanceIn(tensor: TensorInfo, { imatrix }: Pick<MeasurementOptions, "imatrix">) {
  const found = imatrix && importanceOf(imatrix, tensor);
  return found instanceof Float32Array
    ? { importance: found, state: "used" as const }
    : { importance: undefined, state: found };
}

export interface TensorFigures {
  readonly metrics: MeasuredMetrics;
  readonly distortion: DistortionResult;
  readonly bytesRead: number;
  readonly rowsRead: number;
}

/** All that was measured of a tensor, as it stands in the document. */
export function describeMeasured(
  tensor: TensorInfo,
  {
    metrics: { metrics, omitted, sigmaMax },
    distortion: { distortion, powerless },
    bytesRead,
    rowsRead,
  }: TensorFigures,
  options: Pick<MeasurementOptions, "imatrix">,
): TensorMeasurement {
  const { state } = importanceIn(tensor, options);
  const { matrices, matrixRows } = rowLayout(tensor.shape);
  return {
    bytesRead,
    ...(sigmaMax !== undefined && { sigmaMax }),
    analysis: {
      ...describeTensor(tensor),
      metrics,
      omitted,
      distortion,
      ...(state !== undefined && { importance: state }),
      ...(powerless && { powerless }),
      rowsRead,
      rows: matrices * matrixRows,
    },
  };
}

/** Where every row is quantized no standard error is needed, and a band may be as large as a job. */
export function wholeDesign({ type, shape }: Pick<TensorInfo, "type" | "shape">): SamplingDesign {
  return { ...SAMPLING_DESIGN, bandRows: Math.max(1, Math.floor(JOB_BYTES / rowBytes(type, shape[0] ?? 1))) };
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

export function withoutMetrics(type: TensorType): MeasuredMetrics {
  const reason = isQuantizedType(type) ? "source is quantized" : `source is ${type}`;
  return { metrics: {}, omitted: Object.fromEntries(METRIC_TABLE.map(({ name }) => [name, reason])), nonFinite: 0 };
}
