/**
 * llama-perplexity as a program: the arguments of a run, and its output as a report. It exits with 0 for nearly
 * everything, so a run is judged by what it printed, and repeated where the end of its output was lost without an error.
 */
import { FormatError, UsageError } from "../errors.ts";
import type { PerplexityJob, PerplexityReport } from "./engine.ts";
import { noteModel } from "./files-read.ts";
import { readLogitsFile } from "./logits-file.ts";
import {
  hasDamagedFigures,
  hasErrorLines,
  parseFinalEstimate,
  parseKlDivergence,
  parseOtherVocabulary,
  parseTooShort,
} from "./perplexity-log.ts";
import { type ProgramOutput, programError, runProgram } from "./run-program.ts";

/**
 * llama-perplexity exits without waiting for its log (common/log.cpp leaks it): about one run in ten of a small model
 * loses the end of its output, on a busy machine one in three. This many in a row are another fault.
 */
const ATTEMPTS = 6;

/** The arguments of a run; `context` is that of the text, or of the logits file. */
export function perplexityArguments(job: PerplexityJob, context: number): string[] {
  const { text, logits } = job;
  return [
    ...["-m", job.model, "-t", String(job.threads), "-ngl", String(job.gpuLayers), "-c", String(context)],
    // An embedding model's add_eos_token makes llama-perplexity abort.
    ...["--override-kv", "tokenizer.ggml.add_eos_token=bool:false"],
    ...(logits === undefined ? [] : ["--kl-divergence-base", logits]),
    ...(text === undefined ? ["--kl-divergence"] : ["-f", text.path]),
    ...(text?.chunks === undefined ? [] : ["--chunks", String(text.chunks)]),
  ];
}

/**
 * Run llama-perplexity. Throws UsageError for a text that is too short, FormatError for a model or logits file that is
 * damaged, EngineError where no run gave a result.
 */
export async function runPerplexity(program: string, job: PerplexityJob): Promise<PerplexityReport> {
  const { text, logits, signal } = job;
  if (text === undefined && logits === undefined) throw new UsageError("perplexity needs a text or a file of logits");
  const context = text?.context ?? (await readLogitsFile(logits as string)).tokens.context;
  const args = perplexityArguments(job, context);
  const reads = noteModel(job.model);
  let output: ProgramOutput | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    output = await runProgram(program, args, { signal });
    const printed = `${output.stdout}\n${output.stderr}`;
    const report = text === undefined ? parseKlDivergence(printed) : parseFinalEstimate(printed);
    if (report !== undefined) return report;
    throwIfHopeless(job, context, printed);
    if (output.code !== 0 || hasErrorLines(printed)) break;
  }
  throw programError(program, output as ProgramOutput, reads);
}

function throwIfHopeless({ model, text }: PerplexityJob, context: number, printed: string): void {
  const tokens = parseTooShort(printed);
  if (tokens !== undefined) {
    throw new UsageError(
      `${text?.path} has ${tokens} tokens, but an evaluation with a context of ${context} needs at least ${2 * context}; give a longer --text or a smaller --context`,
    );
  }
  const vocabularies = parseOtherVocabulary(printed);
  if (vocabularies !== undefined) {
    const { reference, own } = vocabularies;
    throw new FormatError(
      model,
      `its vocabulary has ${own} tokens, the reference's ${reference}; evaluate it against the model it was made from`,
    );
  }
  if (hasDamagedFigures(printed)) {
    throw new FormatError(
      model,
      "llama-perplexity's figures are NaN or infinite: weights or scales are damaged; convert or quantize it again",
    );
  }
}
