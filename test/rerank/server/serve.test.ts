import { copyFile, mkdtemp, rename, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { openEmbeddedEngine } from "../../../src/engine/embedded.ts";
import { serve } from "../../../src/verbs/serve.ts";
import { testBench } from "../../bench.ts";
import { killEngines } from "../../engine/engine-processes.ts";
import { writeRunnable } from "../../fixtures/runnable.ts";

it.skipIf(process.platform === "win32")(
  "a server goes on after a crash with the model it began with, or says so",
  async () => {
    const dir = await mkdtemp(join(tmpdir(), "prism-serve-"));
    const path = await writeRunnable("reranker", dir);
    const engine = await openEmbeddedEngine({ threads: 1 });
    const server = await serve(path, { port: 0 }, testBench(engine));
    const ask = async () => {
      const response = await fetch(`${server.url}/v1/rerank`, {
        method: "POST",
        headers: { "Content-Type": "application/json" },
        body: JSON.stringify({ query: "q", documents: ["d", "e"] }),
      });
      const { results, error } = (await response.json()) as { results?: unknown; error?: { message: string } };
      return results ?? error?.message;
    };
    const answer = await ask();
    expect(answer).toHaveLength(2);
    killEngines();
    expect(await ask()).toEqual(answer);
    // while its pages are there, the file that was loaded is what answers
    await copyFile(path, `${path}.new`);
    await rename(`${path}.new`, path);
    expect(await ask()).toEqual(answer);
    killEngines();
    const refusal = `${path}: was replaced by another file since the server opened it; start the server again`;
    expect(await ask()).toBe(refusal);
    expect(await ask()).toBe(refusal);
    await server.close();
    await engine.close();
    await rm(dir, { recursive: true });
  },
);
