/** The same session through llama-perplexity itself (--llama-dir): the reference's logits in a file, then each model. */
import { createHash, randomUUID } from "node:crypto";
import { readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readLogitsFile, scoredTokens } from "../engine/logits-file.ts";
import { UsageError } from "../errors.ts";
import { describeModel, type ModelDescription } from "./describe-model.ts";
import type { EvaluationSession, SessionOptions } from "./session.ts";

/** Throws UsageError without a text: the programs can't be asked to sample one. */
export async function openProgramsSession(
  options: SessionOptions,
  description: ModelDescription,
  context: number,
): Promise<EvaluationSession> {
  const { engine, text: path } = options;
  if (path === undefined) {
    throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
  }
  const run = {
    threads: options.threads,
    gpuLayers: options.gpuLayers,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  const text = { path, context, ...(options.chunks === undefined ? {} : { chunks: options.chunks }) };
  const logits = join(tmpdir(), `prism-${randomUUID()}.logits`);
  const discard = () => rm(logits, { force: true });
  try {
    options.onNote?.(`llama-perplexity: logits of ${description.path}`);
    const base = await engine.perplexity({ ...run, model: description.path, text, logits });
    const { tokens } = await readLogitsFile(logits);
    const sha256 = createHash("sha256")
      .update(await readFile(path))
      .digest("hex");
    const scored = tokens.chunks * scoredTokens(context);
    const comparing = options.reference !== undefined;
    return {
      text: { source: "file", path, sha256, context, chunks: tokens.chunks, tokens: scored },
      warnings: [],
      ...(comparing ? { reference: { path: description.path, headerHash: description.headerHash } } : {}),
      referencePpl: () => base.ppl,
      async evaluateModel(model) {
        const start = performance.now();
        const { fileBytes, bpw } = await describeModel(model);
        const report = await engine.perplexity(comparing ? { ...run, model, logits } : { ...run, model, text });
        const { ppl, lnPplRatio, kld, sameTop, sameTopSe } = report;
        return {
          path: model,
          fileBytes,
          bpw,
          ppl,
          ...(lnPplRatio === undefined ? {} : { lnPplRatio }),
          ...(kld === undefined ? {} : { kld }),
          ...(sameTop === undefined ? {} : { sameTop }),
          ...(sameTopSe === undefined ? {} : { sameTopSe }),
          chunks: tokens.chunks,
          tokens: scored,
          elapsedMs: Math.round(performance.now() - start),
        };
      },
      close: discard,
    };
  } catch (error) {
    await discard();
    throw error;
  }
}
