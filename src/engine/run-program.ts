/** Finds and runs one of llama.cpp's programs. */
import { spawn } from "node:child_process";
import { constants } from "node:fs";
import { access } from "node:fs/promises";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { EngineError, type FileError } from "../errors.ts";
import { changeOf, type FilesRead } from "./files-read.ts";
import { describeEnd, wasEndedFromOutside } from "./process-end.ts";

const LOG_TAIL_LINES = 12;

export interface ProgramOutput {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The program in `dir` (or its bin folders), or on PATH. Throws EngineError (missing) that says where it was sought. */
export async function findProgram(name: string, dir: string | undefined): Promise<string> {
  const file = process.platform === "win32" ? `${name}.exe` : name;
  const onPath = (process.env.PATH ?? "").split(delimiter).filter((folder) => folder !== "");
  const folders = dir === undefined ? onPath : [dir, join(dir, "bin"), join(dir, "build", "bin")];
  for (const folder of folders) {
    const path = join(folder, file);
    if (await isExecutable(path)) return path;
  }
  const where = dir === undefined ? "on PATH" : `in ${folders.join(", ")}`;
  throw new EngineError(
    `${name} was not found ${where}; build llama.cpp there, or leave --llama-dir out to use the embedded library`,
    { missing: true },
  );
}

function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

/**
 * Run to the end; the exit code is the caller's to judge. `onLine` gets the lines of stderr as they come.
 * Throws EngineError (missing) where it can't be started, the reason of `signal` on abort.
 */
export function runProgram(
  program: string,
  args: readonly string[],
  options: { signal?: AbortSignal | undefined; onLine?: (line: string) => void } = {},
): Promise<ProgramOutput> {
  const { signal, onLine } = options;
  if (signal?.aborted) return Promise.reject(signal.reason);
  return new Promise((resolve, reject) => {
    // After a failed assert ggml would start a debugger to print the stack.
    const env = { ...process.env, GGML_NO_BACKTRACE: "1" };
    const child = spawn(program, [...args], { stdio: ["ignore", "pipe", "pipe"], env });
    const output = { stdout: "", stderr: "" };
    const abort = () => child.kill("SIGKILL");
    signal?.addEventListener("abort", abort, { once: true });
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      output.stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      output.stderr += text;
    });
    if (onLine !== undefined) createInterface({ input: child.stderr }).on("line", onLine);
    child.once("error", (error) => {
      signal?.removeEventListener("abort", abort);
      reject(new EngineError(`${program} could not be started: ${error.message}`, { missing: true, cause: error }));
    });
    child.once("close", (code, signalName) => {
      signal?.removeEventListener("abort", abort);
      if (signal?.aborted) reject(signal.reason);
      else resolve({ ...output, code, signal: signalName });
    });
  });
}

/** What became of a program that failed on `reads`: the file that was changed under it, or the last lines it printed. */
export function programError(
  program: string,
  { code, signal, stdout, stderr }: ProgramOutput,
  reads: FilesRead,
): EngineError | FileError {
  const how = signal ?? `exit code ${code}`;
  const lines = `${stdout}\n${stderr}`.split("\n").filter((line) => line.trim() !== "");
  const logTail = lines.slice(-LOG_TAIL_LINES);
  const error = new EngineError(`${program} failed or gave no result ${describeEnd(how)}`, { logTail });
  return changeOf(reads, signal !== null && !wasEndedFromOutside(signal, logTail), error) ?? error;
}
