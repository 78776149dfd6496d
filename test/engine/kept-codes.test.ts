import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { KeptCodes } from "../../src/engine/child/kept-codes.ts";
import type { CodedTensor } from "../../src/engine/engine.ts";

const place = { from: "source.gguf", sourceOffset: 64, offset: 32 };
const TENSOR: CodedTensor = { name: "a", type: "Q4_K", sourceType: "F16", columns: 256, rows: 9, ...place };
const STOCK = Uint8Array.of(1, 2, 3);
const CHOICE = { name: "a", ratio: 0.1 + 0.2, shrinkage: 0.25 };
const CODES = Uint8Array.of(4, 10, 5);

let root: string;
let notes: string[];
const open = (limitBytes = 1e9) =>
  new KeptCodes({ path: join(root, "codes", "of-sums"), limitBytes }, (text) => notes.push(text));
const files = () => readdir(join(root, "codes", "of-sums"));

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), "prism-kept-codes-"));
  notes = [];
  await open().keepChoice(TENSOR, STOCK, CHOICE);
  await open().keepCodes(TENSOR, 0.25, 0, CODES);
});
afterEach(() => rm(root, { recursive: true }));

it("gives back what was kept, wherever the tensor lies", async () => {
  const moved = { ...TENSOR, from: "other.gguf", sourceOffset: 0, offset: 0 };
  expect(await open().choice(moved, STOCK)).toEqual(CHOICE);
  expect(await open().codes(moved, 0.25, 0)).toEqual(Buffer.from(CODES));
  await open().begin();
  expect(notes).toEqual(["going on with the codes of 1 tensors that were chosen before"]);
});

it("other tensors, experts, types, sources and rows have other codes", async () => {
  const others: Partial<CodedTensor>[] = [
    { name: "b" },
    { expert: 1 },
    { type: "Q5_K" },
    { sourceType: "BF16" },
    { columns: 512 },
    { rows: 8 },
  ];
  for (const other of others) {
    expect(await open().choice({ ...TENSOR, ...other }, STOCK)).toBeUndefined();
    expect(await open().codes({ ...TENSOR, ...other }, 0.25, 0)).toBeUndefined();
  }
  // the choice is one against the codes that stood there
  expect(await open().choice(TENSOR, Uint8Array.of(1, 2, 4))).toBeUndefined();
  expect(await open().codes(TENSOR, 0.5, 0)).toBeUndefined();
  expect(await open().codes(TENSOR, 0.25, 4)).toBeUndefined();
  expect(notes).toEqual([]);
});

it("believes no damage", async () => {
  for (const name of await files()) {
    const path = join(root, "codes", "of-sums", name);
    await writeFile(path, (await readFile(path)).subarray(0, -1));
  }
  expect(await open().choice(TENSOR, STOCK)).toBeUndefined();
  expect(await open().codes(TENSOR, 0.25, 0)).toBeUndefined();
  expect(notes).toEqual([expect.stringMatching(/is damaged/), expect.stringMatching(/is damaged/)]);
  expect(await files()).toEqual([]);
});

it("keeps to the limit, and goes on where nothing can be kept", async () => {
  await open(100).keepCodes(TENSOR, 0.5, 0, new Uint8Array(60));
  expect(await files()).toHaveLength(1);
  await rm(root, { recursive: true });
  await writeFile(root, "a file");
  const kept = open();
  await kept.keepCodes(TENSOR, 0.5, 0, CODES);
  await kept.keepCodes(TENSOR, 0.5, 1, CODES);
  expect(notes).toEqual([expect.stringMatching(/^! codes are not kept.*: .*folder/)]);
});
