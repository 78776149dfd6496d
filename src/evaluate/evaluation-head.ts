/** What every evaluation says of itself, whatever its models were judged by. */
import { PRISM_VERSION } from "../version.ts";
import type { Evaluation } from "./evaluation.ts";
import { type DecodedWith, decodedBy } from "./gpu-layers.ts";

export function evaluationHead(
  bench: DecodedWith,
): Pick<Evaluation, "schema" | "prismVersion" | "createdAt" | "engine"> {
  const { kind, version, origin } = bench.engine.info;
  return {
    schema: "prism.evaluation/1",
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    engine: { kind, version, origin, ...decodedBy(bench) },
  };
}
