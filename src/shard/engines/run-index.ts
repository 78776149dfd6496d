/**
 * An index, done by a process of its own: this one stays free to say that it lives, and goes on whatever becomes of the other.
 */
import { spawn } from "node:child_process";
import type { Campaign } from "../campaign-document.ts";
import { environmentWithoutPassword } from "./redis-address.ts";
import { hasOwnIndex, prismWords, type WorkerOptions, workerWords } from "./worker-command.ts";

export interface IndexRequest {
  readonly directory: string;
  readonly campaign: Campaign;
  readonly worker: WorkerOptions & { readonly threads: number };
}

export interface IndexEnd {
  /** Of `prism shard run`; undefined: a signal ended it. */
  readonly code: number | undefined;
  /** What it said where it did not end well. */
  readonly reason: string;
}

/** Characters of what it prints. */
const MOST_OUTPUT = 2 ** 20;

/** Do an index. Where `signal` is aborted, the process is asked to end; it ends too where this one does. */
export function runIndex(
  { directory, campaign, worker }: IndexRequest,
  index: number,
  signal: AbortSignal,
): Promise<IndexEnd> {
  const [program, ...words] = prismWords() as [string, ...string[]];
  const which = hasOwnIndex(campaign) ? ["--index", String(index)] : [];
  const own = ["shard", "run", directory, ...which, "--threads", String(worker.threads)];
  const args = [...words, ...own, ...workerWords(worker), "--json", "--quiet"];
  return new Promise((resolve, reject) => {
    // the channel says to the process whether this one is there
    const child = spawn(program, args, {
      stdio: ["ignore", "pipe", "ignore", "ipc"],
      env: environmentWithoutPassword(),
    });
    let text = "";
    child.stdout?.setEncoding("utf8").on("data", (chunk: string) => {
      text = (text + chunk).slice(-MOST_OUTPUT);
    });
    const stop = () => void child.kill("SIGTERM");
    if (signal.aborted) stop();
    else signal.addEventListener("abort", stop, { once: true });
    child.once("error", reject);
    child.once("close", (code, ended) => {
      signal.removeEventListener("abort", stop);
      resolve({ code: code ?? undefined, reason: reasonOf(text) ?? `it ended with ${ended ?? `exit code ${code}`}` });
    });
  });
}

function reasonOf(text: string): string | undefined {
  try {
    const { error, failed, poisoned } = JSON.parse(text) as {
      error?: { message?: string };
      failed?: readonly { error?: string }[];
      poisoned?: readonly { error?: string }[];
    };
    return error?.message ?? failed?.[0]?.error ?? poisoned?.[0]?.error;
  } catch {
    return undefined;
  }
}
