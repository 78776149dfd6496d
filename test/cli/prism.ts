/** Runs the built program the way a shell does. */
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";

export const MODEL = resolve(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");
const MAIN = resolve(import.meta.dirname, "../../dist/cli/main.js");

export interface Outcome {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface RunningPrism {
  readonly child: ChildProcess;
  readonly outcome: Promise<Outcome>;
}

/** Start `prism ARGS` in `cwd`. */
export function startPrism(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): RunningPrism {
  const child = spawn(process.execPath, [MAIN, ...args], {
    cwd,
    env: { ...process.env, PRISM_CACHE_DIR: join(cwd, "cache"), ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const outcome = new Promise<Outcome>((resolveOutcome, reject) => {
    let stdout = "";
    let stderr = "";
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding("utf8").on("data", (text: string) => {
      stderr += text;
    });
    child.once("error", reject);
    child.once("close", (code) => resolveOutcome({ code, stdout, stderr }));
  });
  return { child, outcome };
}

export function prism(args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}): Promise<Outcome> {
  return startPrism(args, cwd, env).outcome;
}

/** A folder for one test file, and how to remove it. */
export function scratchFolder(): { path: string; remove: () => void } {
  const path = mkdtempSync(join(tmpdir(), "prism-cli-"));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
