import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { serve } from "../../src/verbs/serve.ts";
import { testBench } from "../bench.ts";
import { killEngines } from "../engine/engine-processes.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

let dir: string;
let engine: EmbeddedEngine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-serve-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

const ask = async (url: string, body: object, signal?: AbortSignal) => {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body: JSON.stringify(body), ...(signal && { signal }) });
  return (await response.json()) as { results?: { index: number }[]; error?: { message: string } };
};

it("ranks a thousand documents of one request", async () => {
  const server = await serve(await writeRunnable("cross-encoder", dir), { port: 0 }, testBench(engine));
  const documents = Array.from({ length: 1000 }, (_, index) => `document ${index}`);
  const { results = [] } = await ask(`${server.url}/v1/rerank`, { query: "q", documents });
  expect(new Set(results.map(({ index }) => index)).size).toBe(1000);
  await server.close();
});

it("answers a short request before a long one that came first, and gives up one whose client left", async () => {
  const server = await serve(await writeRunnable("causal-reranker", dir), { port: 0 }, testBench(engine));
  const url = `${server.url}/v1/rerank`;
  const long = { query: "q", documents: Array.from({ length: 1500 }, (_, index) => `${index} of many documents`) };
  const short = { query: "q", documents: ["a"] };
  const leaving = new AbortController();
  let over = false;
  const first = ask(url, long, leaving.signal).finally(() => {
    over = true;
  });
  first.catch(() => undefined);
  await new Promise((resolve) => setTimeout(resolve, 100));
  expect((await ask(url, short)).results).toHaveLength(1);
  expect(over).toBe(false);
  leaving.abort();
  await expect(first).rejects.toThrow(/abort/);
  expect((await ask(url, short)).results).toHaveLength(1);
  await server.close();
});

it.skipIf(process.platform === "win32")(
  "a server goes on after a crash with the model it began with, or says so",
  async () => {
    const path = await writeRunnable("reranker", dir);
    const server = await serve(path, { port: 0 }, testBench(engine));
    const rank = async () => {
      const { results, error } = await ask(`${server.url}/v1/rerank`, { query: "q", documents: ["d", "e"] });
      return results ?? error?.message;
    };
    const answer = await rank();
    expect(answer).toHaveLength(2);
    killEngines();
    expect(await rank()).toEqual(answer);
    // while its pages are there, the file that was loaded is what answers
    await copyFile(path, `${path}.new`);
    await rename(`${path}.new`, path);
    expect(await rank()).toEqual(answer);
    killEngines();
    const refusal = `${path}: was replaced by another file since the server opened it; start the server again`;
    expect(await rank()).toBe(refusal);
    expect(await rank()).toBe(refusal);
    await server.close();
  },
);
