/** Probes as files: the probed tensors in their types, all others as in the source; quantized, loaded, scored, deleted. */
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { DEFAULT_CACHE_LIMIT_BYTES } from "../evaluate/evaluate-options.ts";
import { referenceLogits } from "../evaluate/reference.ts";
import { planFromTypes } from "../plan/plan-from-types.ts";
import { planSpec } from "../quantize/plan-spec.ts";
import { quantize } from "../quantize/quantize.ts";
import { uniformSensitivity } from "../sensitivity/sensitivity.ts";
import type { ProbeBench, ProbeBenchOptions } from "./probe-bench.ts";

export async function openFileBench(options: ProbeBenchOptions): Promise<ProbeBench> {
  const { engine, analysis, imatrix, scratch, threads, gpuLayers, context, signal } = options;
  const aborting = signal === undefined ? {} : { signal };
  // the programs load no model; the library that probes in their place does, if it need not use a GPU
  const mapped = engine.info.kind === "programs";
  const load = (path: string) => engine.load({ model: path, context, threads, gpuLayers, mapped, ...aborting });
  const source = await load(options.model);
  try {
    const text = await options.textOf(source);
    await mkdir(scratch, { recursive: true });
    return {
      kind: "file",
      text,
      refer: (tokens) =>
        referenceLogits(source, tokens, {
          engine,
          fingerprint: analysis.model.headerHash,
          cacheDir: scratch,
          cacheLimitBytes: DEFAULT_CACHE_LIMIT_BYTES,
          gpuLayers,
          ...aborting,
        }),
      async degrade(types, score) {
        const plan = planFromTypes({ analysis, sensitivity: uniformSensitivity(analysis), types, text: "a probe" });
        const spec = planSpec(plan, options.model, join(scratch, "probe.gguf"), imatrix);
        const allowRequantize = options.allowRequantize ?? false;
        await quantize(spec, { engine, threads, force: true, allowRequantize, ...aborting });
        const model = await load(spec.output);
        try {
          return await score(model);
        } finally {
          await model.close();
          await rm(spec.output, { force: true });
        }
      },
      close: () => source.close(),
    };
  } catch (error) {
    await source.close();
    throw error;
  }
}
