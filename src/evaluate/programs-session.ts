/**
 * The same session through llama-perplexity itself (--llama-dir): the reference's logits in a file, then each model.
 * There is no length rule here: all of the text is scored, or the chunks asked for.
 */
import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { PerplexityReport, Programs } from "../engine/engine.ts";
import { scoredTokens } from "../engine/logits-file.ts";
import { MIN_STATISTICS_TOKENS } from "../engine/perplexity-log.ts";
import { FormatError, UsageError } from "../errors.ts";
import { requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { refuseProjector } from "../intake/source-checks.ts";
import { present } from "../present.ts";
import { checkFigures } from "./check-figures.ts";
import { chunksAtMost } from "./evaluate-options.ts";
import { MODEL_EVALUATION, type ModelEvaluation } from "./evaluation.ts";
import { refuseMoreFigures } from "./more-figures.ts";
import type { EvaluationSession, SessionModels, SessionRequest } from "./session.ts";
import { readTextFile } from "./text.ts";
import { openTokenGate, SAME_COUNT, textCutter } from "./token-gate.ts";

/** Throws UsageError without a text: the programs can't be asked to sample one. */
export async function openProgramsSession(
  programs: Programs,
  { reference, pilot, others = [] }: SessionModels,
  { context, text: path, chunks: asked, availableChunks, ...more }: SessionRequest & { readonly context: number },
  bench: Bench,
): Promise<EvaluationSession> {
  refuseMoreFigures(more);
  const { threads, gpuLayers, signal, progress } = bench;
  if (path === undefined) {
    throw new UsageError("llama.cpp's programs can't sample a text; give --text FILE, or leave --llama-dir out");
  }
  const { text: written, sha256 } = await readTextFile(path);
  const base = reference ?? pilot;
  const by =
    bench.engine.library === undefined
      ? { refuse: "llama.cpp's programs don't say how they cut a text; evaluate without --llama-dir" }
      : { texts: [written], load: textCutter(context, bench) };
  const gate = openTokenGate(base, by, SAME_COUNT);
  for (const model of [pilot, ...others]) await gate.admit(model);
  const run = { threads, gpuLayers, signal };
  const text = { path, context, chunks: chunksAtMost(asked, availableChunks) };
  const logits = reference === undefined ? undefined : join(tmpdir(), `prism-${randomUUID()}.logits`);
  const discard = async () => {
    if (logits !== undefined) await rm(logits, { force: true });
  };
  try {
    progress.note(`llama-perplexity: ${base.path}`);
    const first = await programs.perplexity({ ...run, model: base.path, text, logits });
    await requireUnchanged(base, bench);
    await requireSameText(path, sha256);
    const tokens = first.chunks * scoredTokens(context);
    if (logits !== undefined) checkStatistics(tokens);
    return {
      text: { source: "file", path, sha256, context, chunks: first.chunks, tokens },
      warnings: gate.notes,
      reference: reference && { path: base.path, headerHash: base.model.headerHash },
      referencePpl: () => (reference === undefined ? undefined : first.ppl),
      async evaluateModel(model) {
        const start = performance.now();
        refuseProjector(model.model);
        await gate.admit(model);
        const known = reference === undefined && model.path === base.path ? first : undefined;
        const asked = logits === undefined ? { text } : { logits };
        const report = known ?? (await programs.perplexity({ ...run, model: model.path, ...asked }));
        await requireUnchanged(model, bench);
        await requireSameText(path, sha256);
        return toEvaluation(model, report, tokens, Math.round(performance.now() - start));
      },
      close: discard,
    };
  } catch (error) {
    await discard();
    throw error;
  }
}

/** The programs read the text themselves. */
async function requireSameText(path: string, sha256: string): Promise<void> {
  if ((await readTextFile(path)).sha256 === sha256) return;
  throw new FormatError(path, "was changed while it was scored; do it again");
}

function checkStatistics(tokens: number): void {
  if (tokens >= MIN_STATISTICS_TOKENS) return;
  throw new UsageError(
    `llama-perplexity gives no KL divergence for ${tokens} scored tokens, only for ${MIN_STATISTICS_TOKENS} or more; raise --chunks or --context`,
  );
}

function toEvaluation(
  { path, fileBytes, bpw }: OpenModel,
  report: PerplexityReport,
  tokens: number,
  elapsedMs: number,
): ModelEvaluation {
  const { chunks, ppl, lnPplRatio, kld, sameTop, sameTopSe } = report;
  const evaluation = present({
    path,
    fileBytes,
    bpw,
    ppl,
    lnPplRatio,
    kld,
    sameTop,
    sameTopSe,
    chunks,
    tokens,
    elapsedMs,
  });
  return checkFigures(path, MODEL_EVALUATION, evaluation);
}
