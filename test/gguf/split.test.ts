import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { hashFile } from "../../src/disk/file-hash.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { keyBytesOf, partPaths, partsOf, type Split, writeParts } from "../../src/gguf/split.ts";

const MODEL = join(import.meta.dirname, "../../models/books-llama-8m-f16.gguf");

/** SHA-256 of what llama-gguf-split of llama.cpp v0.5.0 makes of it with `--split-max-size 5M`. */
const THEIRS = [
  "86d9ec77305d5ac4d4bdb21ced5048af733edca9e4e13639a822f82dea901bbd",
  "e51a40d7027536754c4640c563691188e8b7e7d5e862c0d3808a01b805e1140c",
  "2b13f1af666038e47fd7b2946f3d01794bd3d7af1c0d63ab0332c3ff0552eb61",
  "2eea3f6eae48bfa106420ab7c220fc6e7dabd3c63088a2df31763064f27992e9",
];
/** With the header, which they don't count, the same tensors fit. */
const SPLIT = { maxBytes: 5_114_000 };

let folder: string;
let whole: OpenModel;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-split-"));
  whole = await openModel(MODEL);
});
afterAll(async () => {
  await whole.close();
  await rm(folder, { recursive: true });
});

const parts = (split: Split) => partsOf(whole.model.tensors, keyBytesOf(whole.model.keyValues), split);

async function write(split: Split, name: string): Promise<string[]> {
  const made = parts(split);
  const paths = partPaths(join(folder, name), made.length);
  await writeParts(whole, made, split, paths);
  return paths;
}

describe("a file in parts", () => {
  it("is what llama-gguf-split makes of it, to the byte", async () => {
    const paths = await write(SPLIT, "model.gguf");
    expect(paths.at(-1)).toBe(join(folder, "model-00004-of-00004.gguf"));
    expect(await Promise.all(paths.map(hashFile))).toEqual(THEIRS);
  });

  it("is read as the whole one", async () => {
    const [first = ""] = await write(SPLIT, "again.gguf");
    const read = await openModel(first);
    const tensors = ({ model }: OpenModel) => model.tensors.map(({ name, shape, type }) => ({ name, shape, type }));
    expect(tensors(read)).toEqual(tensors(whole));
    const last = read.model.tensors.at(-1);
    const same = whole.model.tensors.at(-1);
    if (last === undefined || same === undefined) throw new Error("no tensors");
    expect(await read.read(last, 0, last.bytes)).toEqual(await whole.read(same, 0, same.bytes));
    await read.close();
  });

  it("has the parts of its source where they are kept, with the keys in llama-quantize's order", async () => {
    const [first = ""] = await write(SPLIT, "source.gguf");
    const source = await openModel(first);
    // as llama-quantize writes them: by name within a layer, not in the order of the source
    const shuffled = [...whole.model.tensors].sort((a, b) => (a.name < b.name ? -1 : 1));
    const like = { like: source.model };
    const kept = partsOf(shuffled, 0, like);
    expect(kept.map((part) => part.map(({ name }) => name))).toEqual(
      parts(SPLIT).map((part) => part.map(({ name }) => name)),
    );
    await source.close();
    const paths = await write(like, "kept.gguf");
    expect(paths).toHaveLength(4);
    const header = (await readFile(paths[1] ?? "")).subarray(0, 200).toString("latin1");
    expect(header.indexOf("split.count")).toBeLessThan(header.indexOf("split.tensors.count"));
  });
});

describe("the size of a part", () => {
  it("is never more than was asked, its header included", async () => {
    for (const maxBytes of [3_000_000, 4_321_000, 9_000_001]) {
      for (const path of await write({ maxBytes }, `m${maxBytes}.gguf`)) {
        const { length } = await readFile(path);
        expect(length).toBeLessThanOrEqual(maxBytes);
      }
    }
  });

  it("is refused where a tensor alone takes more", () => {
    expect(() => parts({ maxBytes: 100_000 })).toThrow(/--split-max-size .*token_embd.* alone takes/);
  });

  it("leaves a small file whole", () => {
    expect(parts({ maxBytes: 1e9 })).toHaveLength(1);
    expect(partPaths("a/m.gguf", 1)).toEqual(["a/m.gguf"]);
  });
});

it("names parts by what is before .gguf, or before the numbers of other parts", () => {
  expect(partPaths("m-Q4_K_M.gguf", 2)).toEqual(["m-Q4_K_M-00001-of-00002.gguf", "m-Q4_K_M-00002-of-00002.gguf"]);
  expect(partPaths("m-00001-of-00009.gguf", 2)[0]).toBe("m-00001-of-00002.gguf");
});
