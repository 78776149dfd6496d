import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { EngineChild } from "../../src/engine/child-process.ts";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { findEnginePackage } from "../../src/engine/package.ts";
import { EngineError } from "../../src/errors.ts";
import { writeSmallModel } from "./small-model.ts";

const BUILT = new URL("../../dist/engine/", import.meta.url);
const BUNDLED = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));
const found = findEnginePackage();
let dir: string;
let model: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-child-"));
  model = await writeSmallModel(dir, "small");
});
afterAll(() => rm(dir, { recursive: true }));

function load(handle: number, path = model) {
  return { handle, model: path, context: 64, threads: 1, gpuLayers: 0 };
}

describe("the engine's child", () => {
  it("answers calls in the order they were sent, each with its own log", async () => {
    const child = new EngineChild(found);
    const logs: string[][] = [[], []];
    const order: number[] = [];
    await Promise.all(
      [1, 2].map((handle, i) =>
        child.call("load", load(handle), { onLog: (line) => logs[i]?.push(line) }).then(() => order.push(handle)),
      ),
    );
    expect(order).toEqual([1, 2]);
    const metadata = logs.map((lines) => lines.filter((line) => line.includes("loaded meta data")).length);
    expect(metadata).toEqual([1, 1]);
    await child.close();
  });

  it("rejects every pending call when it crashes, with the log of the one it was at", async () => {
    const child = new EngineChild(found);
    await child.call("load", load(1));
    const row = new Uint8Array(1024);
    const crash = { sourceType: "F32", rowElements: 256, data: row, bandRows: 1, types: ["IQ2_XXS"] };
    const results = await Promise.allSettled([
      child.call("roundTrip", crash),
      child.call("tokenize", { handle: 1, text: "never reached" }),
    ]);
    for (const result of results) {
      expect(result.status).toBe("rejected");
      const { reason } = result as PromiseRejectedResult;
      expect(reason).toBeInstanceOf(EngineError);
      expect((reason as EngineError).logTail.join("\n")).toContain("GGML_ASSERT");
    }
    await expect(child.call("tokenize", { handle: 1, text: "x" })).rejects.toThrow("this model is not loaded");
    await child.close();
  });

  it("stops a long call on abort, and works again afterwards", async () => {
    const child = new EngineChild(found);
    await child.call("load", load(1, BUNDLED));
    const controller = new AbortController();
    const sampling = child.call(
      "sample",
      { handle: 1, sequences: 8, length: 500, seed: 1 },
      { signal: controller.signal, onProgress: () => controller.abort() },
    );
    await expect(sampling).rejects.toMatchObject({ name: "AbortError" });
    await expect(child.call("load", load(2), { signal: controller.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
    expect(await child.call("load", load(2))).toMatchObject({ vocabSize: 257 });
    await child.close();
  });

  it("rejects what is pending when it is closed, and what comes later", async () => {
    const child = new EngineChild(found);
    await child.call("load", load(1, BUNDLED));
    const sampling = child.call(
      "sample",
      { handle: 1, sequences: 8, length: 500, seed: 1 },
      { onProgress: () => void child.close() },
    );
    await expect(sampling).rejects.toThrow("the engine was stopped during sample");
    await expect(child.call("devices", undefined)).rejects.toThrow("the engine was closed");
    await child.close();
  });

  it("says why where the library can't be loaded", async () => {
    const child = new EngineChild({ ...found, llama: join(dir, "small.gguf") });
    await expect(child.call("devices", undefined)).rejects.toThrow(/load shared library/);
    await child.close();
  });
});

describe("a model of an ended process", () => {
  it("is refused instead of taken for another, and closes without starting a process", async () => {
    const engine = await openEmbeddedEngine({ threads: 1 });
    const controller = new AbortController();
    const options = { model, context: 64, threads: 1, gpuLayers: 0 };
    const old = await engine.library.load(options);
    const sampling = old.sample({
      sequences: 32,
      length: 500,
      seed: 1,
      signal: controller.signal,
      onProgress: () => controller.abort(),
    });
    await expect(sampling).rejects.toMatchObject({ name: "AbortError" });
    await old.close();
    const fresh = await engine.library.load(options);
    await expect(old.tokenize("x")).rejects.toThrow("this model is no longer loaded");
    await old.close();
    expect(await fresh.tokenize("x")).toHaveLength(1);
    await fresh.close();
    await fresh.close();
    await engine.close();
  });
});

/** Whether the process is there and not a zombie. */
function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function isGoneWithin(pid: number, limitMs: number): Promise<boolean> {
  for (let waited = 0; waited < limitMs && isAlive(pid); waited += 50) {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return !isAlive(pid);
}

const program = (body: string) => `
  import { openEmbeddedEngine } from "${new URL("embedded.js", BUILT).href}";
  const engine = await openEmbeddedEngine({ threads: 1 });
  const model = await engine.library.load({ model: ${JSON.stringify(BUNDLED)}, context: 256, threads: 1, gpuLayers: 0 });
  ${body}
`;

describe("a program with an engine", () => {
  it("ends by itself when it forgets to close the engine", async () => {
    const run = promisify(execFile);
    const body = "console.log((await model.tokenize('one two')).length > 0);";
    const { stdout } = await run(process.execPath, ["--input-type=module", "-e", program(body)], { timeout: 30_000 });
    expect(stdout.trim()).toBe("true");
  });

  it.skipIf(process.platform === "win32")("takes its child with it when it is killed in a long call", async () => {
    const body = `
      const { execFileSync } = await import("node:child_process");
      const children = execFileSync("ps", ["-o", "pid=,args=", "--ppid", String(process.pid)], { encoding: "utf8" });
      console.log(/(\\d+) .*child.main/.exec(children)[1]);
      await model.sample({ sequences: 32, length: 100000, seed: 1 });
    `;
    const parent = spawn(process.execPath, ["--input-type=module", "-e", program(body)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const [line] = (await once(parent.stdout, "data")) as [Buffer];
    const child = Number(line.toString());
    expect(isAlive(child)).toBe(true);
    parent.kill("SIGKILL");
    await once(parent, "exit");
    expect(await isGoneWithin(child, 10_000)).toBe(true);
  });
});
