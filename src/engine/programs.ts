/**
 * The engine made of a llama.cpp build's own programs: llama-quantize and llama-perplexity from --llama-dir DIR or PATH.
 * Round trips still need the library: they are handed to the embedded engine where it is there.
 */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { EngineError, InterruptedError } from "../errors.ts";
import { ggmlTypeName, parseTensorType } from "../ggml/tensor-types.ts";
import type { Engine, PerplexityJob, PerplexityReport, QuantizeJob, QuantizeOutcome } from "./engine.ts";
import { parseFinalEstimate, parseKlDivergence } from "./perplexity-log.ts";
import { parseQuantizeLog } from "./quantize-log.ts";

const LOG_TAIL_LINES = 12;
/** llama-perplexity sometimes loses the end of its output; it is run again this many times. */
const ATTEMPTS = 3;

export interface ProgramsOptions {
  /** Folder of the programs; absent: PATH. */
  readonly dir?: string;
  /** Serves roundTrip; absent: roundTrip throws EngineError. */
  readonly embedded?: Engine;
}

/** Find the programs. Throws EngineError (missing) naming what was looked for and where. */
export async function openProgramsEngine(options: ProgramsOptions): Promise<Engine> {
  const quantizeProgram = await findProgram("llama-quantize", options.dir);
  const perplexityProgram = await findProgram("llama-perplexity", options.dir);
  const version = await readVersion(perplexityProgram);
  const { embedded } = options;
  return {
    info: { kind: "programs", version, origin: options.dir ?? "PATH", devices: [] },
    roundTrip: (job) =>
      embedded === undefined
        ? Promise.reject(
            new EngineError(
              "measuring distortion needs libggml; install the optional package @node-llama-cpp/<platform>",
              {
                missing: true,
              },
            ),
          )
        : embedded.roundTrip(job),
    quantize: (job) => quantize(quantizeProgram, job),
    load: () =>
      Promise.reject(new EngineError("the programs of llama.cpp can't be asked to sample text; give --text FILE")),
    perplexity: (job) => perplexity(perplexityProgram, job),
    close: async () => embedded?.close(),
  };
}

async function findProgram(name: string, dir: string | undefined): Promise<string> {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  const folders =
    dir === undefined ? (process.env.PATH ?? "").split(delimiter) : [dir, join(dir, "bin"), join(dir, "build", "bin")];
  for (const folder of folders) {
    const path = join(folder, file);
    if (
      await access(path, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return path;
  }
  const where = dir === undefined ? "on PATH" : `in ${folders.join(", ")}`;
  throw new EngineError(
    `${name} was not found ${where}; build llama.cpp there, or leave --llama-dir out to use the embedded library`,
    {
      missing: true,
    },
  );
}

interface Output {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runProgram(
  program: string,
  args: readonly string[],
  options: { signal?: AbortSignal; onLine?: (line: string) => void } = {},
): Promise<Output> {
  if (options.signal?.aborted) return Promise.reject(new InterruptedError());
  return new Promise((resolve, reject) => {
    const child = spawn(program, [...args], { stdio: ["ignore", "pipe", "pipe"] });
    const output = { stdout: "", stderr: "" };
    const abort = () => child.kill("SIGKILL");
    options.signal?.addEventListener("abort", abort, { once: true });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
      for (const line of text.split("\n")) options.onLine?.(line);
    });
    child.once("error", (error) =>
      reject(new EngineError(`${program} could not be started: ${error.message}`, { missing: true })),
    );
    child.once("close", (code, signal) => {
      options.signal?.removeEventListener("abort", abort);
      if (options.signal?.aborted) reject(new InterruptedError());
      else resolve({ ...output, code, signal });
    });
  });
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
    ...(job.fixAlignment ? ["--override-kv", "general.alignment=int:32"] : []),
    ...job.overrides.flatMap(({ pattern, type }) => ["--tensor-type", `${pattern}=${ggmlTypeName(type)}`]),
    job.source,
    job.dryRun ? join(tmpdir(), "prism-dry-run.gguf") : job.output,
    job.fileType,
    String(job.threads),
  ];
}

async function quantize(program: string, job: QuantizeJob): Promise<QuantizeOutcome> {
  const output = await runProgram(program, quantizeArguments(job), {
    ...(job.signal === undefined ? {} : { signal: job.signal }),
    onLine(line) {
      const progress = /\[\s*(\d+)\/\s*(\d+)\]/.exec(line);
      if (progress !== null) job.onProgress?.(Number(progress[1]), Number(progress[2]));
    },
  });
  if (output.code !== 0) throw programError(program, output);
  return parseQuantizeLog(`${output.stderr}\n${output.stdout}`.split("\n"), parseTensorType);
}

async function perplexity(program: string, job: PerplexityJob): Promise<PerplexityReport> {
  const args = [
    "-m",
    job.model,
    "-t",
    String(job.threads),
    "-ngl",
    String(job.gpuLayers),
    // An embedding model's add_eos_token makes llama-perplexity abort.
    "--override-kv",
    "tokenizer.ggml.add_eos_token=bool:false",
    ...(job.logits === undefined ? [] : ["--kl-divergence-base", job.logits]),
    ...(job.text === undefined
      ? ["--kl-divergence"]
      : [
          "-f",
          job.text.path,
          "-c",
          String(job.text.context),
          ...(job.text.chunks === undefined ? [] : ["--chunks", String(job.text.chunks)]),
        ]),
  ];
  let output: Output | undefined;
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    output = await runProgram(program, args, job.signal === undefined ? {} : { signal: job.signal });
    const text = `${output.stdout}\n${output.stderr}`;
    const report = job.text === undefined ? parseKlDivergence(text) : parseFinalEstimate(text);
    if (report !== undefined) return report;
    if (output.code !== 0) break;
  }
  throw programError(program, output as Output);
}

function programError(program: string, output: Output): EngineError {
  const how = output.signal === null ? `exit code ${output.code}` : `signal ${output.signal}`;
  const lines = `${output.stdout}\n${output.stderr}`.split("\n").filter((line) => line.trim() !== "");
  return new EngineError(`${program} failed (${how}) or gave no result`, { logTail: lines.slice(-LOG_TAIL_LINES) });
}
