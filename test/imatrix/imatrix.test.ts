import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { FileError, FormatError } from "../../src/errors.ts";
import { overrideBytes } from "../../src/gguf/raw-text.ts";
import { type NewGguf, writeGguf } from "../../src/gguf/writer.ts";
import { readImatrix } from "../../src/imatrix/imatrix.ts";

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-imatrix-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const floats = (...values: number[]) => new Uint8Array(Float32Array.from(values).buffer);

const KEYS: NewGguf["keyValues"] = [
  { key: "general.type", type: "string", value: "imatrix" },
  { key: "imatrix.datasets", type: { array: "string" }, value: ["books.txt", "more.txt"] },
  { key: "imatrix.chunk_count", type: "u32", value: 7 },
  { key: "imatrix.chunk_size", type: "u32", value: 512 },
];
const DENSE: NewGguf["tensors"] = [
  { name: "blk.0.ffn_up.weight.in_sum2", shape: [4, 1], type: "F32", data: floats(1, 2, 3, 10) },
  { name: "blk.0.ffn_up.weight.counts", shape: [1, 1], type: "F32", data: floats(3) },
];

async function gguf(name: string, file: Partial<NewGguf>): Promise<string> {
  const path = join(folder, name);
  await writeGguf(path, { keyValues: KEYS, tensors: DENSE, ...file });
  return path;
}

describe("the GGUF form", () => {
  test("importance is the sum over the count in f32, per expert, and 1 where an expert saw nothing", async () => {
    const path = await gguf("experts.gguf", {
      tensors: [
        ...DENSE,
        { name: "blk.0.ffn_up_exps.weight.in_sum2", shape: [2, 3], type: "F32", data: floats(1, 2, 5, 6, 8, 9) },
        { name: "blk.0.ffn_up_exps.weight.counts", shape: [1, 3], type: "F32", data: floats(3, 0, 2.5) },
      ],
    });
    const imatrix = await readImatrix(path);
    expect([...(imatrix.importance.get("blk.0.ffn_up.weight") ?? [])]).toEqual(
      [1 / 3, 2 / 3, 1, 10 / 3].map(Math.fround),
    );
    // counts are rounded half away from zero: 2.5 is 3
    expect([...(imatrix.importance.get("blk.0.ffn_up_exps.weight") ?? [])]).toEqual(
      [1 / 3, 2 / 3, 1, 1, 8 / 3, 3].map(Math.fround),
    );
    expect(imatrix).toMatchObject({ path, file: path, dataset: "books.txt", entries: 2, chunks: 7 });
    expect(imatrix.sha256).toMatch(/^[0-9a-f]{64}$/);
  });

  test("a file without one of the keys llama-quantize requires is refused", async () => {
    const path = await gguf("keyless.gguf", { keyValues: KEYS.slice(0, 3) });
    await expect(readImatrix(path)).rejects.toThrow(/imatrix\.chunk_size is missing/);
  });

  test("sums without counts are refused, by name", async () => {
    const path = await gguf("unpaired.gguf", { tensors: DENSE.slice(0, 1) });
    await expect(readImatrix(path)).rejects.toThrow(/blk\.0\.ffn_up\.weight has \.in_sum2 but no \.counts/);
  });

  test("a model is refused as an imatrix", async () => {
    const path = await gguf("model.gguf", {
      keyValues: [
        { key: "general.type", type: "string", value: "model" },
        { key: "general.architecture", type: "string", value: "llama" },
      ],
    });
    await expect(readImatrix(path)).rejects.toThrow(/expected general\.type "imatrix", got "model"/);
  });

  test.each([
    ["NaN", Number.NaN],
    ["infinity", Number.POSITIVE_INFINITY],
    ["a negative mean of squares", -1],
  ])("%s among the values is refused", async (_, value) => {
    const [, counts] = DENSE;
    const sums = {
      name: "blk.0.ffn_up.weight.in_sum2",
      shape: [4, 1],
      type: "F32" as const,
      data: floats(1, 2, value, 3),
    };
    const path = await gguf("values.gguf", { tensors: counts ? [sums, counts] : [] });
    await expect(readImatrix(path)).rejects.toThrow(/value 2 of blk\.0\.ffn_up\.weight/);
  });

  test("a path of more than 127 bytes is kept to the end of the character that llama-quantize cuts in two", async () => {
    const path = await gguf(`${"é".repeat(70)}.gguf`, {});
    const { file } = await readImatrix(path);
    expect(Buffer.byteLength(file)).toBeOneOf([127, 128]);
    expect(path.startsWith(file)).toBe(true);
    expect(Buffer.from(overrideBytes(file))).toEqual(Buffer.from(path).subarray(0, 127));
  });

  test("the bytes of a dataset's name are kept, characters or not", async () => {
    const name = Buffer.from([0xef, 0xbb, 0xbf, 0x61, 0xff, 0xc3, 0x62, 0xed, 0xa0, 0x80]);
    const placeholder = "z".repeat(name.length);
    const datasets = [{ key: "imatrix.datasets", type: { array: "string" as const }, value: [placeholder] }];
    const path = await gguf("bytes.gguf", {
      keyValues: [...KEYS.filter(({ key }) => key !== "imatrix.datasets"), ...datasets],
    });
    const bytes = await readFile(path);
    bytes.set(name, bytes.indexOf(placeholder));
    await writeFile(path, bytes);
    const { dataset } = await readImatrix(path);
    expect(Buffer.from(overrideBytes(dataset))).toEqual(name);
    expect(JSON.parse(JSON.stringify(dataset))).toBe(dataset);
  });
});

/** Little-endian pieces: numbers are i32, strings their bytes, arrays f32. */
function dat(...pieces: (number | string | readonly number[])[]): Uint8Array {
  return Buffer.concat(
    pieces.map((piece) => {
      if (typeof piece === "string") return Buffer.from(piece);
      if (typeof piece !== "number") return floats(...piece);
      const bytes = Buffer.alloc(4);
      bytes.writeInt32LE(piece);
      return bytes;
    }),
  );
}

const ENTRY = [18, "blk.0.attn_q.weight".slice(0, 18), 4, 2, [6, 1]] as const;

async function legacy(name: string, bytes: Uint8Array): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, bytes);
  return path;
}

describe("the .dat form", () => {
  test("values are divided by the calls, and left alone where there were none", async () => {
    const bytes = dat(2, ...ENTRY, 3, "abc", 0, 2, [6, 1], 11, 9, "books.txt");
    const imatrix = await readImatrix(await legacy("good.dat", bytes));
    expect([...(imatrix.importance.get("blk.0.attn_q.weigh") ?? [])]).toEqual([1.5, 0.25]);
    expect([...(imatrix.importance.get("abc") ?? [])]).toEqual([6, 1]);
    expect(imatrix).toMatchObject({ dataset: "books.txt", entries: 2, chunks: 11 });
  });

  test("the bytes of the dataset are kept", async () => {
    const name = Buffer.from([0x61, 0xff, 0x62]);
    const bytes = Buffer.concat([dat(1, ...ENTRY, 11, name.length), name]);
    const { dataset } = await readImatrix(await legacy("bytes.dat", bytes));
    expect(Buffer.from(overrideBytes(dataset))).toEqual(name);
  });

  test("the chunks and the dataset may be absent", async () => {
    const imatrix = await readImatrix(await legacy("bare.dat", dat(1, ...ENTRY)));
    expect(imatrix).toMatchObject({ dataset: "", entries: 1, chunks: 0 });
  });

  test("every cut of a good file inside its entries is an error, never a crash", async () => {
    const bytes = dat(2, ...ENTRY, ...ENTRY);
    for (let length = 0; length < bytes.length; length++) {
      const path = await legacy("cut.dat", bytes.subarray(0, length));
      await expect(readImatrix(path), `cut at ${length}`).rejects.toThrow(FormatError);
    }
  });

  test.each([
    ["a huge name", dat(1, 0x7fffffff, "abc")],
    ["a negative name", dat(1, -5, "abcdefgh")],
    ["a huge number of values", dat(1, 1, "a", 1, 0x7fffffff, [1])],
    ["no values", dat(1, 1, "a", 1, 0, [1])],
    ["more entries than the file holds", dat(0x7fffffff, ...ENTRY)],
    ["text", Buffer.from("this is no imatrix at all")],
    ["NaN", dat(1, 1, "a", 1, 2, [1, Number.NaN])],
  ])("%s is refused", async (_, bytes) => {
    await expect(readImatrix(await legacy("hostile.dat", bytes))).rejects.toThrow(FormatError);
  });

  test("a file that is not there is a FileError", async () => {
    await expect(readImatrix(join(folder, "absent.dat"))).rejects.toThrow(FileError);
  });
});
