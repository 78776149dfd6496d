import { truncateSync } from "node:fs";
import { copyFile, mkdtemp, rename, rm, truncate, utimes, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type EmbeddedEngine, openEmbeddedEngine } from "../../src/engine/embedded.ts";
import { changeOf, noteModel } from "../../src/engine/files-read.ts";
import { describeEnd, wasEndedFromOutside } from "../../src/engine/process-end.ts";
import { programError } from "../../src/engine/run-program.ts";
import { EngineError, FileError } from "../../src/errors.ts";
import { killEngines } from "./engine-processes.ts";

const BUNDLED = fileURLToPath(new URL("../../models/books-llama-8m-f16.gguf", import.meta.url));
/** More than the header, less than the weights. */
const CUT = 2 ** 20;
const TOKENS = { context: 64, chunks: 1, ids: Int32Array.from({ length: 64 }, (_, i) => 100 + i) };

let dir: string;
let engine: EmbeddedEngine;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-process-end-"));
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  await rm(dir, { recursive: true });
});

async function copyOfModel(name: string): Promise<string> {
  const path = join(dir, name);
  await copyFile(BUNDLED, path);
  return path;
}

const load = (model: string) => engine.library.load({ model, context: 64, threads: 1, gpuLayers: 0 });

// elsewhere a file that is mapped can't be cut
describe.skipIf(process.platform === "win32")("a model that loses its end", () => {
  it("while it is quantized is named, with what became of it", async () => {
    const source = await copyOfModel("quantized.gguf");
    const output = join(dir, "out.gguf");
    const quantized = engine.quantize({
      ...{ source, output, fileType: "Q4_K_M", overrides: [], threads: 1 },
      onProgress: () => truncateSync(source, CUT),
    });
    const error = await quantized.catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(FileError);
    expect((error as FileError).message).toMatch(
      new RegExp(`^${source}: shrank from \\d+ to ${CUT} bytes while it was read; leave a file alone`),
    );
    expect((error as FileError).cause).toMatchObject({ ended: "SIGBUS" });
  });

  it("after it was loaded is named by what scores it, and no longer loaded after that", async () => {
    const model = await copyOfModel("scored.gguf");
    const loaded = await load(model);
    await truncate(model, CUT);
    const score = () => loaded.score({ tokens: TOKENS, first: 0, count: 1 });
    await expect(score()).rejects.toThrow(`${model}: shrank from `);
    await expect(score()).rejects.toThrow(
      "this model is no longer loaded: the engine's process ended during score (SIGBUS): ",
    );
    await loaded.close();
  });

  it("while tensors are copied from it is named too", async () => {
    const from = await copyOfModel("from.gguf");
    const to = await copyOfModel("to.gguf");
    const tensor = { name: "t", offset: 2 * CUT, shape: [256, 2000], sourceType: "F16" } as const;
    const rewritten = engine.library.rewrite({ from, to, tensors: [tensor], type: "Q8_0" });
    await truncate(from, CUT);
    await expect(rewritten).rejects.toThrow(`${from}: shrank from `);
  });
});

it.skipIf(process.platform === "win32")(
  "a process that is killed while it is idle is told of by what was loaded in it",
  async () => {
    const [loaded, other] = [await load(BUNDLED), await load(BUNDLED)];
    killEngines();
    for (const model of [loaded, other]) {
      await expect(model.tokenize("one")).rejects.toMatchObject({
        ended: "SIGKILL",
        message: expect.stringMatching(/\(SIGKILL\): somebody killed it, most often the system when memory runs out/),
      });
      await model.close();
    }
    const fresh = await load(BUNDLED);
    expect(await fresh.tokenize("one")).not.toHaveLength(0);
    await fresh.close();
  },
);

describe("the end of a process", () => {
  it("is put into words", () => {
    expect(describeEnd("exit code 3")).toBe("(exit code 3)");
    expect(describeEnd("SIGILL")).toBe("(SIGILL): an instruction that this processor does not have; type prism doctor");
  });

  it("comes from outside where it was sent a signal or found no memory", () => {
    expect(wasEndedFromOutside("SIGKILL", [])).toBe(true);
    expect(wasEndedFromOutside("SIGABRT", ["terminate called after throwing 'std::bad_alloc'"])).toBe(true);
    expect(wasEndedFromOutside("SIGABRT", ["GGML_ASSERT(x)"])).toBe(false);
    expect(wasEndedFromOutside("SIGSEGV", [])).toBe(false);
  });
});

describe("the files of a call", () => {
  const cause = new EngineError("the engine's process ended");

  it("are all shards of a model, and what became of any explains a crash", async () => {
    const [first, second] = [1, 2].map((n) => join(dir, `split-0000${n}-of-00002.gguf`)) as [string, string];
    for (const path of [first, second]) await writeFile(path, "weights");
    const files = noteModel(first);
    expect(changeOf(files, true, cause)).toBeUndefined();
    await truncate(second, 3);
    expect(changeOf(files, false, cause)).toMatchObject({ path: second, cause });
    await rm(first);
    expect(noteModel(first).map(({ path }) => path)).toEqual([second]);
  });

  it("explain a crash by a write, but not what the engine itself says, and not where PRISM writes", async () => {
    const path = join(dir, "written.gguf");
    await writeFile(path, "weights");
    const [files, own] = [noteModel(path), noteModel(path, { writable: true })];
    await utimes(path, 1, 1);
    expect(changeOf(files, true, cause)?.message).toContain("was written to while it was read; ");
    expect(changeOf(files, false, cause)).toBeUndefined();
    expect(changeOf(own, true, cause)).toBeUndefined();
  });

  it("explain nothing where one was replaced: what is read is still there", async () => {
    const path = join(dir, "replaced.gguf");
    await writeFile(path, "weights");
    const files = noteModel(path);
    await writeFile(`${path}.new`, "w");
    await rename(`${path}.new`, path);
    expect(changeOf(files, true, cause)).toBeUndefined();
  });

  it("are named for a program too", async () => {
    const path = join(dir, "program.gguf");
    await writeFile(path, "weights");
    const files = noteModel(path);
    const output = { code: null, signal: "SIGBUS", stdout: "", stderr: "" } as const;
    expect(programError("llama-quantize", output, files).message).toContain("(SIGBUS): a file that it had mapped");
    await truncate(path, 1);
    expect(programError("llama-quantize", output, files).message).toContain("shrank from 7 to 1 bytes");
  });
});
