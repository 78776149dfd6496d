/** What every evaluation says of itself, whatever its models were judged by. */
import type { Bench } from "../bench.ts";
import { PRISM_VERSION } from "../version.ts";
import type { Evaluation } from "./evaluation.ts";
import { decodedBy } from "./gpu-layers.ts";

export function evaluationHead(
  bench: Pick<Bench, "engine" | "gpuLayers">,
): Pick<Evaluation, "schema" | "prismVersion" | "createdAt" | "engine"> {
  const { kind, version, origin } = bench.engine.info;
  return {
    schema: "prism.evaluation/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    engine: { kind, version, origin, ...decodedBy(bench) },
  };
}
