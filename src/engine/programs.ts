/**
 * The engine made of a llama.cpp build's own programs: llama-quantize and llama-perplexity from --llama-dir DIR or PATH.
 * Round trips and probes still need the library: the embedded engine's, where it is there.
 */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EngineError } from "../errors.ts";
import { ggmlTypeName, parseTensorType } from "../ggml/tensor-types.ts";
import type { EmbeddedEngine } from "./embedded.ts";
import type { Engine, QuantizeJob, QuantizeOutcome } from "./engine.ts";
import { noteModel } from "./files-read.ts";
import { runImatrix } from "./imatrix-program.ts";
import { runPerplexity } from "./perplexity-program.ts";
import { parseQuantizeLog } from "./quantize-log.ts";
import { findProgram, programError, runProgram } from "./run-program.ts";

export interface ProgramsOptions {
  /** Folder of the programs; absent: PATH. */
  readonly dir?: string | undefined;
  /** Its library serves round trips and probes. */
  readonly embedded?: EmbeddedEngine | undefined;
}

/** Find the programs. Throws EngineError (missing) naming what was looked for and where. */
export async function openProgramsEngine(options: ProgramsOptions): Promise<Engine> {
  const quantizeProgram = await findProgram("llama-quantize", options.dir);
  const perplexityProgram = await findProgram("llama-perplexity", options.dir);
  const version = await readVersion(perplexityProgram);
  const { embedded } = options;
  return {
    info: { kind: "programs", version, origin: options.dir ?? "PATH", devices: [] },
    quantize: (job) => quantize(quantizeProgram, job),
    library: embedded?.library,
    programs: {
      perplexity: (job) => runPerplexity(perplexityProgram, job),
      imatrix: async (job) => runImatrix(await findProgram("llama-imatrix", options.dir), job),
    },
    close: async () => embedded?.close(),
  };
}

async function readVersion(program: string): Promise<string> {
  const { stdout, stderr } = await runProgram(program, ["--version"]);
  const match = /version:?\s*(\S+.*)/.exec(`${stderr}\n${stdout}`);
  return match?.[1]?.trim() ?? "unknown";
}

/** The arguments of llama-quantize: all flags first, then source, output, type and threads. */
export function quantizeArguments(job: QuantizeJob): string[] {
  return [
    ...(job.allowRequantize ? ["--allow-requantize"] : []),
    ...(job.dryRun ? ["--dry-run"] : []),
    ...(job.imatrix === undefined ? [] : ["--imatrix", job.imatrix.path]),
    ...[...(job.notes ?? [])].flatMap(([key, text]) => ["--override-kv", `${key}=str:${text}`]),
    ...(job.fixAlignment ? ["--override-kv", "general.alignment=int:32"] : []),
    ...job.overrides.flatMap(({ pattern, type }) => ["--tensor-type", `${pattern}=${ggmlTypeName(type)}`]),
    job.source,
    job.dryRun ? join(tmpdir(), "prism-dry-run.gguf") : job.output,
    job.fileType,
    String(job.threads),
  ];
}

async function quantize(program: string, job: QuantizeJob): Promise<QuantizeOutcome> {
  const args = quantizeArguments(job);
  const reads = noteModel(job.source);
  const output = await runProgram(program, args, {
    signal: job.signal,
    onLine(line) {
      const progress = /\[\s*(\d+)\/\s*(\d+)\]/.exec(line);
      if (progress !== null) job.onProgress?.(Number(progress[1]), Number(progress[2]));
    },
  });
  const outcome = parseQuantizeLog(`${output.stderr}\n${output.stdout}`.split("\n"), parseTensorType);
  if (output.code !== 0 && output.stdout.startsWith("usage:")) {
    const flags = [...new Set(args.filter((argument) => argument.startsWith("--")))];
    throw new EngineError(
      `${program} did not understand its arguments (${flags.join(", ")}); build llama.cpp v0.5.0 or newer, or leave --llama-dir out`,
    );
  }
  if (output.code !== 0 || outcome.tensors.length === 0) throw programError(program, output, reads);
  return outcome;
}
