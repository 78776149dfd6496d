/** The analysis of a model by tensors: the document of one machine, byte for byte but for its times. */
import { Type } from "@sinclair/typebox";
import type { Analysis } from "../../analyze/analysis.ts";
import { MEASUREMENT, METHOD } from "../../analyze/analysis-cache.ts";
import { type AnalyzeRequest, assembleAnalysis, createTensorMeter, measurableTensors } from "../../analyze/analyze.ts";
import { describeTensor, type TensorMeasurement } from "../../analyze/tensor-measurement.ts";
import { writeFileAside } from "../../disk/aside-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import { FormatError } from "../../errors.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import { type Imatrix, readImatrix } from "../../imatrix/imatrix.ts";
import { inputPath, requireContent } from "../campaign.ts";
import type { CampaignPlace, ShardStage } from "../stage.ts";

/** What is read of a tensor to sample it, at most. */
const SAMPLED_BYTES = 2 ** 26;

const UNIT = t.object({ tensor: t.name() });

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
  value: MEASUREMENT,
  name: (of) => requireContent(UNIT, of, "unit").tensor,
  units({ source: { model }, campaign }) {
    const { exactMetrics, exactDistortion } = optionsOf(campaign.options);
    const most = exactMetrics || exactDistortion ? Number.POSITIVE_INFINITY : SAMPLED_BYTES;
    return measurableTensors(model).map(({ name, bytes }) => ({ of: { tensor: name }, cost: Math.min(bytes, most) }));
  },
  async open(place, bench) {
    const { source } = place;
    const request = await requestOf(place);
    const meter = createTensorMeter(source, request, bench, await bench.backend(), bench.signal);
    const tensors = new Map(measurableTensors(source.model).map((tensor) => [tensor.name, tensor]));
    return {
      width: meter.width,
      async measure(of) {
        const { tensor } = requireContent(UNIT, of, "unit");
        const found = tensors.get(tensor);
        if (found === undefined) throw new FormatError(source.path, `has no tensor ${tensor} to measure`);
        const measured = await meter.measure(found);
        await requireUnchanged(source, bench);
        return measured;
      },
      close: async () => undefined,
    };
  },
  async merge(place, values, output) {
    const { source, campaign } = place;
    const measured = new Map(values.map((value) => [(value as TensorMeasurement).analysis.name, value]));
    const measurements = source.model.tensors.map((tensor): TensorMeasurement => {
      const found = measured.get(tensor.name) as TensorMeasurement | undefined;
      return found ?? { analysis: describeTensor(tensor), bytesRead: 0 };
    });
    const { engine, backend, seed } = campaign.how;
    const request = await requestOf(place);
    const with_ = { engine, backend: backend as Analysis["backend"], seed, elapsedMs: 0 };
    const merged = assembleAnalysis(source, request, measurements, with_);
    const { path, shards } = campaign.model;
    const analysis = { ...merged, model: { ...merged.model, path, shards } };
    await writeFileAside(output, `${JSON.stringify(analysis, null, 1)}\n`);
    return analysis;
  },
};

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
