/** Probes as files: the probed tensors in their types, all others as in the source; quantized, loaded, scored, deleted. */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { loadModel } from "../evaluate/load-model.ts";
import { scoreFile } from "../evaluate/score-file.ts";
import type { OpenModel } from "../gguf/model.ts";
import { planFromTypes } from "../plan/plan-from-types.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { uniformSensitivity } from "../sensitivity/sensitivity.ts";
import { kldMeter, referOnce } from "./meter.ts";
import type { OpenSite, ProbeCosts, ProbeSite, ProbeSiteRequest } from "./probe-site.ts";

/** A file is written and loaded for each, about as long as some chunks take. */
const COSTS: ProbeCosts = { first: 4, each: 4, whole: 0 };

export async function openFileSite(source: OpenModel, request: ProbeSiteRequest, bench: Bench): Promise<OpenSite> {
  const { analysis, imatrix, scratch, context, allowRequantize } = request;
  const meter = request.meter ?? kldMeter(source, bench);
  const loaded = await loadModel(source.path, { context }, bench);
  try {
    const text = await request.textOf(loaded);
    await mkdir(scratch, { recursive: true });
    const refer = referOnce((tokens) => meter.refer(loaded, tokens));
    const degrade: ProbeSite["degrade"] = (types, score) => {
      const plan = planFromTypes({ analysis, sensitivity: uniformSensitivity(analysis), types, text: "a probe" });
      const spec = planSpec(plan, join(scratch, "probe.gguf"), imatrix);
      const scoreLoaded = async ({ path }: OpenModel) => {
        const model = await loadModel(path, { context }, bench);
        return score(model).finally(() => model.close());
      };
      return scoreFile(source, { spec, keep: false, allowRequantize }, scoreLoaded, bench);
    };
    return {
      kind: "file",
      costs: COSTS,
      unit: meter.unit,
      text,
      refer,
      degrade,
      // nothing stays between files: each has the types of the base besides
      hold: (base, work) =>
        work({ text, refer, degrade: (types, score) => degrade(new Map([...base, ...types]), score) }),
      close: () => loaded.close(),
    };
  } catch (error) {
    await loaded.close();
    throw error;
  }
}
