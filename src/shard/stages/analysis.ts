/** The analysis of a model by tensors: the document of one machine, byte for byte but for its times. */
import { Type } from "@sinclair/typebox";
import type { Analysis } from "../../analyze/analysis.ts";
import { MEASUREMENT, METHOD } from "../../analyze/analysis-cache.ts";
import { type AnalyzeRequest, assembleAnalysis, createTensorMeter, measurableTensors } from "../../analyze/analyze.ts";
import { describeTensor, type MeasurementOptions, type TensorMeasurement } from "../../analyze/tensor-measurement.ts";
import { cutRows, joinParts, TENSOR_PART, type TensorPart } from "../../analyze/tensor-part.ts";
import { writeFileAside } from "../../disk/aside-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import { FormatError } from "../../errors.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import type { RowRange, TensorInfo } from "../../gguf/model.ts";
import { type Imatrix, readImatrix } from "../../imatrix/imatrix.ts";
import { inputPath, requireContent } from "../campaign.ts";
import type { Campaign } from "../campaign-document.ts";
import type { CampaignPlace, PlannedUnit, ShardStage } from "../stage.ts";
import { unitBytes } from "../unit-bytes.ts";

/** A sample takes much the same time of any tensor, as reading so many bytes, and more where rows are long. */
const SAMPLE_COST = 2 ** 23;
const SAMPLED_ROWS = 256;

/** Rows of a tensor over all its matrices, [from, to); without them all. */
const UNIT = t.object({ tensor: t.name(), from: t.optional(t.bytes()), to: t.optional(t.bytes()) });
const VALUE = Type.Union([MEASUREMENT, TENSOR_PART]);

export const ANALYSIS_OPTIONS = t.object({
  targetRelativeSe: t.optional(Type.Number({ exclusiveMinimum: 0, exclusiveMaximum: 1 })),
  exactMetrics: t.flag(),
  exactDistortion: t.flag(),
});
export type AnalysisOptions = Content<typeof ANALYSIS_OPTIONS>;

export const analysisStage: ShardStage = {
  id: "analysis",
  method: METHOD,
  costPerSecond: 1e6,
  value: VALUE,
  name(of) {
    const { tensor, from, to } = requireContent(UNIT, of, "unit");
    return from === undefined || to === undefined ? tensor : `${tensor}, rows ${from} to ${to - 1}`;
  },
  units({ source: { model, fileBytes }, campaign }) {
    const { exactMetrics, exactDistortion } = optionsOf(campaign.options);
    const tensors = measurableTensors(model);
    if (exactMetrics && exactDistortion) {
      const most = unitBytes({ fileBytes, jobs: campaign.jobs });
      return tensors.flatMap((tensor) => rowUnits(tensor, most));
    }
    const isExact = exactMetrics || exactDistortion;
    return tensors.map(({ name, bytes, shape: [columns = 1], elements }) => {
      const sample = SAMPLE_COST + Math.min(bytes, (SAMPLED_ROWS * columns * bytes) / elements);
      return { of: { tensor: name }, cost: isExact ? bytes : sample };
    });
  },
  async open(place, bench) {
    const { source } = place;
    const request = await requestOf(place);
    const meter = createTensorMeter(source, request, bench, await bench.backend(), bench.signal);
    const tensors = new Map(measurableTensors(source.model).map((tensor) => [tensor.name, tensor]));
    return {
      width: meter.width,
      async measure(of) {
        const { tensor, from, to } = requireContent(UNIT, of, "unit");
        const found = tensors.get(tensor);
        if (found === undefined) throw new FormatError(source.path, `has no tensor ${tensor} to measure`);
        const isWhole = from === undefined || to === undefined;
        const measured = isWhole ? await meter.measure(found) : await meter.measureRows(found, { from, to });
        await requireUnchanged(source, bench);
        return measured;
      },
      close: async () => undefined,
    };
  },
  async merge(place, values, output) {
    const { source, campaign } = place;
    const { engine, backend, seed } = campaign.how;
    const request = await requestOf(place);
    const made = valuesByTensor(campaign, values);
    const measurements = source.model.tensors.map((tensor) =>
      measurementOf(tensor, made.get(tensor.name) ?? [], { imatrix: request.imatrix, seed }),
    );
    const with_ = { engine, backend: backend as Analysis["backend"], seed, elapsedMs: 0 };
    const merged = assembleAnalysis(source, request, measurements, with_);
    const { path, shards } = campaign.model;
    const analysis = { ...merged, model: { ...merged.model, path, shards } };
    await writeFileAside(output, `${JSON.stringify(analysis, null, 1)}\n`);
    return analysis;
  },
};

/** A tensor, or rows of one that is larger. */
function rowUnits(tensor: TensorInfo, mostBytes: number): PlannedUnit[] {
  const cuts = tensor.bytes > mostBytes ? cutRows(tensor, mostBytes) : [];
  if (cuts.length < 2) return [{ of: { tensor: tensor.name }, cost: tensor.bytes }];
  const rows = (cuts.at(-1) as RowRange).to;
  return cuts.map(({ from, to }) => ({
    of: { tensor: tensor.name, from, to },
    cost: (tensor.bytes * (to - from)) / rows,
  }));
}

interface MadeUnit {
  readonly of: Content<typeof UNIT>;
  readonly value: unknown;
}

function valuesByTensor({ units }: Campaign, values: readonly unknown[]): ReadonlyMap<string, readonly MadeUnit[]> {
  const made = new Map<string, MadeUnit[]>();
  for (const [index, unit] of units.entries()) {
    const of = requireContent(UNIT, unit.of, "unit");
    made.set(of.tensor, [...(made.get(of.tensor) ?? []), { of, value: values[index] }]);
  }
  return made;
}

/** Of a tensor that nothing was made of, what the header says. Throws FormatError where its rows are not all there. */
function measurementOf(
  tensor: TensorInfo,
  made: readonly MadeUnit[],
  how: Pick<MeasurementOptions, "imatrix" | "seed">,
): TensorMeasurement {
  const [first] = made;
  if (first === undefined) return { analysis: describeTensor(tensor), bytesRead: 0 };
  const { from } = first.of;
  if (from === undefined) return first.value as TensorMeasurement;
  try {
    const parts = made.map(({ of, value }) => ({ from: of.from ?? 0, to: of.to ?? 0, part: value as TensorPart }));
    return joinParts(tensor, parts, how);
  } catch (error) {
    throw new FormatError("campaign.json", `${(error as Error).message}; make the campaign again`);
  }
}

function optionsOf(options: unknown): AnalysisOptions {
  return requireContent(ANALYSIS_OPTIONS, options, "options");
}

async function requestOf(place: CampaignPlace): Promise<AnalyzeRequest> {
  return { ...optionsOf(place.campaign.options), imatrix: await campaignImatrix(place) };
}

/** The importance matrix of the campaign, under the name it was given. */
export async function campaignImatrix({ directory, campaign }: CampaignPlace): Promise<Imatrix | undefined> {
  const input = campaign.inputs.find(({ name }) => name === "imatrix");
  if (input === undefined) return undefined;
  return readImatrix(await inputPath(directory, input), input.path);
}
