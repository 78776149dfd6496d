/** A llama-server that benchmarks compare with: started on a port of its own, waited for, ended. */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { createServer } from "node:net";
import { setTimeout as wait } from "node:timers/promises";

/** A server of a small model is up in a second; a busy machine takes longer. */
const START_ATTEMPTS = 240;
const ATTEMPT_MS = 500;

export interface ServerAsked {
  readonly program: string;
  readonly model: string;
  readonly threads: number;
  readonly flags?: readonly string[];
}

/** The program that was named, or undefined after it was said why nothing can be compared. */
export function serverProgram(path: string | undefined): string | undefined {
  if (path !== undefined && existsSync(path)) return path;
  console.log(`skipped: ${path === undefined ? "no --server-bin given" : `${path} is not there`}`);
  return undefined;
}

/** Work with a server at an address like http://127.0.0.1:8080, and end it. */
export async function withLlamaServer<Result>(
  { program, model, threads, flags = [] }: ServerAsked,
  work: (address: string) => Promise<Result>,
): Promise<Result> {
  const port = await freePort();
  const own = ["--host", "127.0.0.1", "--port", String(port), "--gpu-layers", "0", "--no-warmup"];
  const child = spawn(program, ["--model", model, "--threads", String(threads), ...own, ...flags], { stdio: "ignore" });
  try {
    const address = `http://127.0.0.1:${port}`;
    await whenUp(address, child);
    return await work(address);
  } finally {
    child.kill();
  }
}

/** Ask with a JSON body. Throws an Error with what the server says is wrong. */
export async function askJson(url: string, body: unknown): Promise<unknown> {
  const headers = { "Content-Type": "application/json" };
  const reply = await fetch(url, { method: "POST", headers, body: JSON.stringify(body) });
  if (!reply.ok) throw new Error(`${url} answers ${reply.status}: ${await reply.text()}`);
  return reply.json();
}

async function whenUp(address: string, child: ChildProcess): Promise<void> {
  for (let attempt = 0; attempt < START_ATTEMPTS; attempt++) {
    if (child.exitCode !== null) throw new Error(`llama-server ended with ${child.exitCode}`);
    const up = await fetch(`${address}/health`).then(
      ({ ok }) => ok,
      () => false,
    );
    if (up) return;
    await wait(ATTEMPT_MS);
  }
  throw new Error(`llama-server was not up after ${(START_ATTEMPTS * ATTEMPT_MS) / 1000} s`);
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer().once("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const address = probe.address();
      probe.close(() => (typeof address === "object" && address !== null ? resolve(address.port) : reject(address)));
    });
  });
}
