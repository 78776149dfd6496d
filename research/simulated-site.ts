/** A site that probes a model measured tensor by tensor: groups are the sum of their tensors, with a probe's errors. */
import type { LoadedModel } from "../src/engine/engine.ts";
import type { TensorType } from "../src/ggml/tensor-types.ts";
import type { ProbeSite } from "../src/probes/probe-site.ts";
import { createNormal, createRandom, seedFromName } from "../src/random.ts";
import { GAUSSIAN_DISTORTION, type MeasuredModel } from "./measured-kld.ts";

/** Standard deviations of ln KLD: what chunks have in common, what is left of one, and what groups don't add up to. */
const ERRORS = { chunk: 0.2, left: 0.15, group: 0.1 } as const;
/** Nats of the whole model in the probe type. */
const WHOLE_KLD = 0.3;
const CHUNKS = 16;

/** Probes of it cost nothing. */
export function simulatedSite({ name, kld }: MeasuredModel): ProbeSite {
  const total = [...kld.values()].reduce((sum, value) => sum + value, 0);
  const normal = (key: string) => createNormal(createRandom(seedFromName(`${name} ${key}`, 0)))();
  const tokens = { context: 2, chunks: CHUNKS, ids: new Int32Array() };
  return {
    kind: "in-place",
    unit: "nats",
    costs: { first: 1, each: 0.05, whole: 3.3 },
    text: { probes: tokens, trial: tokens, source: "file" },
    refer: async () => ({
      isKept: true,
      measure: async (model, { first, count }) =>
        (await model.score({ tokens, first, count })).kld ?? new Float64Array(),
    }),
    degrade(types, score) {
      const names = [...types.keys()];
      const key = names.join(" ");
      const causes = names.map((tensor) => (kld.get(tensor) ?? 0) * relativeDistortion(types.get(tensor)));
      const sum = causes.reduce((own, cause) => own + cause, 0) * (WHOLE_KLD / total);
      const group = names.length > 1 ? ERRORS.group * normal(key) : 0;
      const scoreChunk: LoadedModel["score"] = async ({ first, count }) => {
        const values = Float64Array.from({ length: count }, (_, i) => {
          const chunk = ERRORS.chunk * normal(`chunk ${first + i}`) + ERRORS.left * normal(`${first + i} ${key}`);
          return sum * Math.exp(group + chunk);
        });
        return { nll: values, kld: values };
      };
      return score({ chunksPerBatch: 1, score: scoreChunk } as LoadedModel);
    },
  };
}

/** Of Gaussian weights, against the type that probes mostly degrade to. */
function relativeDistortion(type: TensorType | undefined): number {
  return ((type && GAUSSIAN_DISTORTION[type]) ?? Number.NaN) / (GAUSSIAN_DISTORTION.Q3_K ?? 1);
}
