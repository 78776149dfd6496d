/**
 * The same session through llama-perplexity itself (--llama-dir): the reference's logits in a file, then each model.
 * There is no length rule here: all of the text is scored, or the chunks asked for.
 */
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { PerplexityReport } from "../engine/engine.ts";
import { scoredTokens } from "../engine/logits-file.ts";
import { MIN_STATISTICS_TOKENS } from "../engine/perplexity-log.ts";
import { UsageError } from "../errors.ts";
import { describeModel, type ModelDescription } from "./describe-model.ts";
import { chunksAtMost } from "./evaluate-options.ts";
import type { ModelEvaluation } from "./evaluation.ts";
import type { EvaluationSession, SessionOptions } from "./session.ts";
import { readTextFile } from "./text.ts";

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
  const { sha256 } = await readTextFile(path);
  const run = {
    threads: options.threads,
    gpuLayers: options.gpuLayers,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  };
  const chunks = chunksAtMost(options);
  const text = { path, context, ...(chunks === undefined ? {} : { chunks }) };
  const logits = options.reference === undefined ? undefined : join(tmpdir(), `prism-${randomUUID()}.logits`);
  const discard = async () => {
    if (logits !== undefined) await rm(logits, { force: true });
  };
  try {
    options.onNote?.(`llama-perplexity: ${description.path}`);
    const base = await engine.perplexity({
      ...run,
      model: description.path,
      text,
      ...(logits === undefined ? {} : { logits }),
    });
    const tokens = base.chunks * scoredTokens(context);
    if (logits !== undefined) checkStatistics(tokens);
    return {
      text: { source: "file", path, sha256, context, chunks: base.chunks, tokens },
      warnings: [],
      ...(logits === undefined ? {} : { reference: { path: description.path, headerHash: description.headerHash } }),
      referencePpl: () => (logits === undefined ? undefined : base.ppl),
      async evaluateModel(model) {
        const start = performance.now();
        const described = await describeModel(model);
        const known = logits === undefined && model === description.path ? base : undefined;
        const report =
          known ?? (await engine.perplexity({ ...run, model, ...(logits === undefined ? { text } : { logits }) }));
        return toEvaluation(described, report, tokens, Math.round(performance.now() - start));
      },
      close: discard,
    };
  } catch (error) {
    await discard();
    throw error;
  }
}

function checkStatistics(tokens: number): void {
  if (tokens >= MIN_STATISTICS_TOKENS) return;
  throw new UsageError(
    `llama-perplexity gives no KL divergence for ${tokens} scored tokens, only for ${MIN_STATISTICS_TOKENS} or more; raise --chunks or --context`,
  );
}

function toEvaluation(
  { path, fileBytes, bpw }: ModelDescription,
  report: PerplexityReport,
  tokens: number,
  elapsedMs: number,
): ModelEvaluation {
  const { chunks, ppl, lnPplRatio, kld, sameTop, sameTopSe } = report;
  return {
    path,
    fileBytes,
    bpw,
    ppl,
    ...(lnPplRatio === undefined ? {} : { lnPplRatio }),
    ...(kld === undefined ? {} : { kld }),
    ...(sameTop === undefined ? {} : { sameTop }),
    ...(sameTopSe === undefined ? {} : { sameTopSe }),
    chunks,
    tokens,
    elapsedMs,
  };
}
