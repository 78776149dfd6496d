/** llama-imatrix as a program: it writes the file itself, and exits with 0 for a text that is too short. */
import { stat } from "node:fs/promises";
import { UsageError } from "../errors.ts";
import type { ImatrixJob } from "./engine.ts";
import { noteModel } from "./files-read.ts";
import { parseTooShort } from "./perplexity-log.ts";
import { programError, runProgram } from "./run-program.ts";

/** The arguments of a run. */
export function imatrixArguments(job: ImatrixJob): string[] {
  const { text } = job;
  return [
    ...["-m", job.model, "-f", text.path, "-o", job.output, "-c", String(text.context)],
    ...["-t", String(job.threads), "-ngl", String(job.gpuLayers), "--output-format", "gguf", "--no-ppl"],
    ...(text.chunks === undefined ? [] : ["--chunks", String(text.chunks)]),
  ];
}

/** Run llama-imatrix. Throws UsageError for a text that is too short, EngineError where no file came of it. */
export async function runImatrix(program: string, job: ImatrixJob): Promise<void> {
  const { text, signal } = job;
  const reads = noteModel(job.model);
  const output = await runProgram(program, imatrixArguments(job), { signal });
  const tokens = parseTooShort(`${output.stdout}\n${output.stderr}`);
  if (tokens !== undefined) {
    throw new UsageError(
      `${text.path} has ${tokens} tokens, but an imatrix with a context of ${text.context} needs at least ${2 * text.context}; give a longer --text or a smaller --context`,
    );
  }
  const written = await stat(job.output).catch(() => undefined);
  if (output.code !== 0 || written === undefined) throw programError(program, output, reads);
}
