import { createHash } from "node:crypto";
import { copyFile, link, mkdtemp, open, readdir, rename, rm, stat, truncate, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Engine } from "../../src/engine/engine.ts";
import { hashTensor, identityOf, requireUnchanged } from "../../src/gguf/identity.ts";
import type { OpenModel } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { testBench } from "../bench.ts";

const BUNDLED = "models/books-llama-8m-f16.gguf";

let dir: string;
let path: string;
const opened: OpenModel[] = [];
const notes: string[] = [];

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-identity-"));
  path = join(dir, "model.gguf");
  await copyFile(BUNDLED, path);
  // whole seconds: a Date holds no more than milliseconds
  await utimes(path, 1e9, 1e9);
});
afterEach(async () => {
  for (const model of opened.splice(0)) await model.close();
  notes.length = 0;
  await rm(dir, { recursive: true });
});

const bench = (cacheDir?: string) =>
  testBench({} as Engine, {
    cache: { dir: cacheDir, logitsLimitBytes: 0 },
    progress: { note: (text) => notes.push(text), steps: () => undefined },
  });

async function openIt(name = path): Promise<OpenModel> {
  const model = await openModel(name);
  opened.push(model);
  return model;
}

/** Flip one bit in the middle of the last tensor, and give the file its times back. */
async function changeOneBit(): Promise<void> {
  const { model } = await openIt();
  const tensor = model.tensors.at(-1);
  const { atime, mtime } = await stat(path);
  const file = await open(path, "r+");
  const byte = Buffer.alloc(1);
  const at = (tensor?.offset ?? 0) + Math.floor((tensor?.bytes ?? 0) / 2) + 1;
  await file.read(byte, 0, 1, at);
  await file.write(Buffer.from([(byte[0] as number) ^ 1]), 0, 1, at);
  await file.close();
  await utimes(path, atime, mtime);
}

describe("the identity of a model", () => {
  it("is the root over the hashes of its tensors, and of their pieces", async () => {
    const model = await openIt();
    const root = createHash("sha256").update(`prism identity 1\n${model.model.headerHash}\n`);
    for (const tensor of model.model.tensors) {
      const data = await model.read(tensor, 0, tensor.bytes);
      const hash = createHash("sha256");
      for (let start = 0; start < data.length; start += 2 ** 22) {
        hash.update(
          createHash("sha256")
            .update(data.subarray(start, start + 2 ** 22))
            .digest(),
        );
      }
      const tensorHash = hash.digest();
      expect(await hashTensor(model, tensor)).toEqual(tensorHash);
      root.update(tensorHash);
    }
    expect(await identityOf(model, bench())).toBe(root.digest("hex"));
  });

  it("is another where one bit is, though size and times are equal", async () => {
    const before = await identityOf(await openIt(), bench(dir));
    await changeOneBit();
    expect(await identityOf(await openIt(), bench(dir))).not.toBe(before);
  });

  it("is that of the content, wherever it lies", async () => {
    const copy = join(dir, "copy.gguf");
    await copyFile(path, copy);
    expect(await identityOf(await openIt(copy), bench(dir))).toBe(await identityOf(await openIt(), bench(dir)));
  });

  it("is kept for a file that rested, and not for one that was just written", async () => {
    await identityOf(await openIt(), bench(dir));
    expect(await readdir(dir)).not.toContain("identities");
    await identityOf(await openIt(BUNDLED), bench(dir));
    expect(await readdir(dir)).toContain("identities");
  });
});

describe("a model that changes while it is open", () => {
  it.each([
    ["was replaced", () => copyFile(BUNDLED, join(dir, "new")).then(() => rename(join(dir, "new"), path))],
    ["is no longer there", () => rm(path)],
    ["shrank from", () => truncate(path, 1000)],
    ["was touched", () => changeOneBit()],
  ])("%s: is refused by name", async (words, change) => {
    const model = await openIt();
    await identityOf(model, bench());
    await change();
    await expect(requireUnchanged(model, bench())).rejects.toThrow(`model.gguf: ${words}`);
  });

  it("is hashed again, and waits for nothing, where a link to it is made while it is hashed", async () => {
    const model = await openIt();
    let linked: Promise<void> | undefined;
    const read: OpenModel["read"] = (...range) => {
      linked ??= link(path, join(dir, "link.gguf"));
      return linked.then(() => model.read(...range));
    };
    const watched: OpenModel = {
      ...model,
      model: model.model,
      revision: model.revision,
      read,
      change: () => model.change(),
      settle: () => model.settle(),
    };
    expect(await identityOf(watched, bench(dir))).toBe(await identityOf(model, bench()));
    expect(notes).toEqual([expect.stringContaining("was touched: hashing it again")]);
  });

  it("is taken as it is where only a link to it was made", async () => {
    const model = await openIt();
    await identityOf(model, bench());
    await link(path, join(dir, "link.gguf"));
    await requireUnchanged(model, bench());
    expect(notes).toEqual([expect.stringContaining("was touched: hashing it again")]);
    await requireUnchanged(model, bench());
    expect(notes).toHaveLength(1);
  });
});
