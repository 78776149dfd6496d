/** The same Evaluation from llama-perplexity itself (--llama-dir): the reference's logits in a file, then each model. */
import { createHash, randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLogitsFile, scoredTokens } from "../engine/logits-file.ts";
import { UsageError } from "../errors.ts";
import { PRISM_VERSION } from "../version.ts";
import { describeModel, type ModelDescription } from "./describe-model.ts";
import type { EvaluateOptions } from "./evaluate.ts";
import { EVALUATION_SCHEMA, type Evaluation, type ModelEvaluation } from "./evaluation.ts";

/** Throws UsageError without a text: the programs can't be asked to sample one. */
export async function evaluateWithPrograms(
  options: EvaluateOptions,
  reference: ModelDescription,
  context: number,
): Promise<Evaluation> {
  const { engine, text: path } = options;
  if (path === undefined) {
    throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
  }
  const run = {
    threads: options.threads,
    gpuLayers: options.gpuLayers,
    ...(options.signal ? { signal: options.signal } : {}),
  };
  const text = { path, context, ...(options.chunks === undefined ? {} : { chunks: options.chunks }) };
  const logits = join(tmpdir(), `prism-${randomUUID()}.logits`);
  try {
    const base = await engine.perplexity({ ...run, model: reference.path, text, logits });
    const { tokens } = await readLogitsFile(logits);
    const models: ModelEvaluation[] = [];
    for (const model of options.models) {
      const start = performance.now();
      const description = await describeModel(model);
      const report =
        options.reference === undefined
          ? await engine.perplexity({ ...run, model, text })
          : await engine.perplexity({ ...run, model, logits });
      const { ppl, lnPplRatio, kld, sameTop, sameTopSe } = report;
      models.push({
        path: model,
        fileBytes: description.fileBytes,
        bpw: description.bpw,
        ppl,
        ...(lnPplRatio === undefined ? {} : { lnPplRatio }),
        ...(kld === undefined ? {} : { kld }),
        ...(sameTop === undefined ? {} : { sameTop }),
        ...(sameTopSe === undefined ? {} : { sameTopSe }),
        chunks: tokens.chunks,
        tokens: tokens.chunks * scoredTokens(context),
        elapsedMs: Math.round(performance.now() - start),
      });
      options.onProgress?.(model, models.length, options.models.length);
    }
    const { kind, version, origin, devices } = engine.info;
    return {
      schema: EVALUATION_SCHEMA,
      prismVersion: PRISM_VERSION,
      createdAt: new Date().toISOString(),
      engine: { kind, version, origin, devices },
      ...(options.reference === undefined
        ? {}
        : { reference: { path: reference.path, headerHash: reference.headerHash, ppl: base.ppl } }),
      text: {
        source: "file",
        path,
        sha256: createHash("sha256")
          .update(await readFile(path))
          .digest("hex"),
        context,
        chunks: tokens.chunks,
        tokens: tokens.chunks * scoredTokens(context),
      },
      models,
      warnings: [],
    };
  } finally {
    await rm(logits, { force: true });
  }
}
