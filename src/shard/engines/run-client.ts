/** The programs by which an engine is spoken to: given words, never a shell. */
import { execFile } from "node:child_process";
import { AgainError, UsageError } from "../../errors.ts";
import { environmentWithoutPassword } from "./redis-address.ts";

/** Of who waits for an answer. */
export interface Patience {
  readonly signal?: AbortSignal | undefined;
  /** An engine that says nothing for so long is not there. */
  readonly seconds?: number | undefined;
}

const MOST_OUTPUT = 2 ** 26;

/** There is none here. */
export class ClientMissing extends UsageError {}

/** The program refused, and why. */
export class ClientRefusal extends Error {}

/**
 * What the program prints. Throws ClientMissing where it is not there, AgainError where it does not end, ClientRefusal with its
 * own words.
 */
export function runClient(
  program: string,
  args: readonly string[],
  { input = "", signal, seconds = 120 }: Patience & { readonly input?: string } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    // sbatch keeps the environment for its tasks
    const env = environmentWithoutPassword();
    const options = { env, signal, timeout: 1000 * seconds, maxBuffer: MOST_OUTPUT, encoding: "utf8" } as const;
    const child = execFile(program, [...args], options, (error, stdout, stderr) => {
      if (error === null) resolve(stdout);
      else if (signal?.aborted) reject(signal.reason);
      else reject(error.killed ? late(program, seconds) : refusal(program, error, stderr));
    });
    // it may end without reading
    child.stdin?.on("error", () => undefined);
    child.stdin?.end(input);
  });
}

function late(program: string, seconds: number): Error {
  return new AgainError(`${program} did not end in ${seconds} s; try again later`);
}

function refusal(program: string, error: Error & { code?: unknown }, stderr: string): Error {
  if (error.code === "ENOENT") {
    return new ClientMissing(`there is no ${program} on this machine's PATH; give the command where it is`);
  }
  return new ClientRefusal(stderr.trim() || `${program} ended with ${error.code ?? "a signal"}`);
}
