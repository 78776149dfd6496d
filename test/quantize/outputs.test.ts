import { mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { copyProjectors, describeOutput } from "../../src/quantize/outputs.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

let dir: string;
const projector = "mmproj-Qwen3-VL-Reranker-F16.gguf";
const model = () => ({ path: join(dir, "source", "qwen3-vl-reranker.f16.gguf"), arch: "qwen3vl" });

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-outputs-"));
  await mkdir(join(dir, "source"));
  const clip = await writeRunnable("clip", dir);
  await writeFile(join(dir, "source", "mmproj-another-model.gguf"), await readFile(clip));
  await writeFile(join(dir, "source", "mmproj-qwen3.gguf"), "no projector");
  await rename(clip, join(dir, "source", projector));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

describe("the projector of a model", () => {
  it("is copied beside its output, and no other model's", async () => {
    const folder = join(dir, "out");
    const copies = await copyProjectors(model(), folder, false);
    expect(await readdir(folder)).toEqual([projector]);
    expect(copies).toEqual([await describeOutput(join(folder, projector))]);
    expect(copies[0]?.sha256).toBe((await describeOutput(join(dir, "source", projector))).sha256);
  });

  it("is left where it is when the output goes there, and never replaces another file unasked", async () => {
    expect(await copyProjectors(model(), join(dir, "source"), false)).toHaveLength(1);
    const folder = join(dir, "taken");
    await mkdir(folder);
    await writeFile(join(folder, projector), "mine");
    await expect(copyProjectors(model(), folder, false)).rejects.toThrow(/exists already/);
    expect(await readFile(join(folder, projector), "utf8")).toBe("mine");
    await copyProjectors(model(), folder, true);
    expect((await readFile(join(folder, projector))).length).toBeGreaterThan(1000);
  });

  it("is none for a projector itself", async () => {
    expect(await copyProjectors({ path: join(dir, "source", projector), arch: "clip" }, dir, false)).toEqual([]);
  });
});

it("a file's SHA-256 is that of sha256sum", async () => {
  await writeFile(join(dir, "abc"), "abc");
  const { sha256, fileBytes } = await describeOutput(join(dir, "abc"));
  expect({ sha256, fileBytes }).toEqual({
    sha256: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    fileBytes: 3,
  });
});
