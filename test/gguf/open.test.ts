import { copyFileSync, readFileSync, statSync } from "node:fs";
import { chmod, mkdir, open, readdir, readlink, truncate } from "node:fs/promises";
import { dirname } from "node:path";
import { describe, expect, test } from "vitest";
import { FileError, FormatError } from "../../src/errors.ts";
import type { MetadataValue } from "../../src/gguf/model.ts";
import { openModel } from "../../src/gguf/open.ts";
import { type NewKeyValue, type NewTensor, writeGguf } from "../../src/gguf/writer.ts";
import { temporaryFolder } from "./raw-header.ts";

const at = temporaryFolder();
const BUNDLED = "models/books-llama-8m-f16.gguf";

const failure = (path: string): Promise<Error> =>
  openModel(path).then(
    () => new Error("opened"),
    (reason: Error) => reason,
  );

const KEY_VALUES: readonly NewKeyValue[] = [
  { key: "general.architecture", type: "string", value: "llama" },
  { key: "general.name", type: "string", value: "Tiny, ütf-8 \u{1f308}" },
  { key: "u8", type: "u8", value: 255 },
  { key: "i8", type: "i8", value: -128 },
  { key: "u16", type: "u16", value: 65_535 },
  { key: "i16", type: "i16", value: -32_768 },
  { key: "u32", type: "u32", value: 4_294_967_295 },
  { key: "i32", type: "i32", value: -2_147_483_648 },
  { key: "f32", type: "f32", value: 0.5 },
  { key: "bool", type: "bool", value: true },
  { key: "u64", type: "u64", value: 2n ** 64n - 1n },
  { key: "i64", type: "i64", value: -(2n ** 63n) },
  { key: "f64", type: "f64", value: Math.PI },
  { key: "strings", type: { array: "string" }, value: ["", "a", "bc"] },
  { key: "floats", type: { array: "f32" }, value: [1, -2.5] },
  { key: "empty", type: { array: "u32" }, value: [] },
  // Names that the parser gives its own fields.
  { key: "version", type: "string", value: "mine" },
  { key: "tensor_count", type: "u32", value: 77 },
];

const bytesFrom = (count: number, first: number) => Uint8Array.from({ length: count }, (_, i) => (first + i) % 251);

const TENSORS: readonly NewTensor[] = [
  { name: "token_embd.weight", shape: [32, 3], type: "Q8_0", data: bytesFrom(102, 1) },
  { name: "blk.0.attn_norm.weight", shape: [5], type: "F32", data: () => bytesFrom(20, 9) },
  { name: "blk.0.x", shape: [2, 1, 3, 1], type: "F16", data: bytesFrom(12, 40) },
];

describe("writeGguf and openModel", () => {
  test.each([32, 64, 8, 4096])("round trip at alignment %i", async (alignment) => {
    const path = at(`round-${alignment}.gguf`);
    await writeGguf(path, { keyValues: KEY_VALUES, tensors: TENSORS, alignment });
    const file = await openModel(path);
    const { model } = file;
    for (const { key, value } of KEY_VALUES) expect(model.metadata.get(key), key).toEqual(value);
    for (const { key, type, value } of KEY_VALUES) {
      const expected =
        typeof type === "string"
          ? { type }
          : { type: "array", element: type.array, length: (value as MetadataValue[]).length };
      expect(model.keyTypes.get(key), key).toEqual(expected);
    }
    expect(model.keyValues.map(({ key }) => key)).toEqual([...KEY_VALUES.map(({ key }) => key), "general.alignment"]);
    expect(model.alignment).toBe(alignment);
    expect([model.arch, model.name, model.ggufVersion]).toEqual(["llama", "Tiny, ütf-8 \u{1f308}", 3]);
    expect(model.tensors.map(({ name, shape, type }) => ({ name, shape, type }))).toEqual(
      TENSORS.map(({ name, shape, type }) => ({ name, shape, type })),
    );
    for (const [i, tensor] of model.tensors.entries()) {
      const { data } = TENSORS[i] as NewTensor;
      const expected = typeof data === "function" ? data() : (data as Uint8Array);
      expect(tensor.offset % alignment).toBe(0);
      expect(await file.read(tensor, 0, tensor.bytes)).toEqual(expected);
      expect(await file.read(tensor, 3, 5)).toEqual(expected.slice(3, 8));
    }
    await file.close();
  });

  test("key-value ranges cover the raw bytes of the entries without a gap", async () => {
    const path = at("ranges.gguf");
    await writeGguf(path, { keyValues: KEY_VALUES, tensors: [] });
    const { model, close } = await openModel(path).then((file) => ({ model: file.model, close: () => file.close() }));
    let position = 24;
    const raw = readFileSync(path);
    for (const { key, start, end } of model.keyValues) {
      expect(start).toBe(position);
      expect(raw.toString("utf8", start + 8, start + 8 + Buffer.byteLength(key))).toBe(key);
      position = end;
    }
    await close();
  });

  test("version 2 reads as version 3 does", async () => {
    const path = at("v2.gguf");
    await writeGguf(path, { keyValues: KEY_VALUES, tensors: TENSORS, version: 2 });
    const file = await openModel(path);
    expect(file.model.ggufVersion).toBe(2);
    expect(file.model.metadata.get("u64")).toBe(2n ** 64n - 1n);
    await file.close();
  });

  test("data of the wrong length is refused and leaves neither the file nor a part of it", async () => {
    const path = at("refused.gguf");
    const tensor: NewTensor = { name: "t", shape: [8], type: "F32", data: new Uint8Array(31) };
    await expect(writeGguf(path, { keyValues: [], tensors: [tensor] })).rejects.toThrow(
      /needs 32 bytes of data, got 31/,
    );
    expect((await readdir(dirname(path))).filter((name) => name.startsWith("refused"))).toEqual([]);
  });

  test.each<[NewKeyValue["type"], MetadataValue]>([
    ["u8", 256],
    ["u32", -1],
    ["i32", 0.5],
    ["u64", -1n],
    ["string", 3],
    ["bool", 1],
    [{ array: "u32" }, 3],
  ])("a value that %o can't hold is refused", async (type, value) => {
    await expect(writeGguf(at("value.gguf"), { keyValues: [{ key: "k", type, value }], tensors: [] })).rejects.toThrow(
      /does not fit|expected|declared an array/,
    );
  });

  test("a sparse 400 GB model opens and reads from its far end", async () => {
    const path = at("sparse.gguf");
    await writeGguf(path, {
      keyValues: KEY_VALUES,
      tensors: [
        { name: "huge", shape: [2 ** 20, 100_000], type: "F32" },
        { name: "last", shape: [8], type: "F32", data: bytesFrom(32, 5) },
      ],
    });
    const status = statSync(path);
    expect(status.size).toBeGreaterThan(400e9);
    expect(status.blocks * 512).toBeLessThan(1e6);
    const file = await openModel(path);
    const [huge, last] = file.model.tensors;
    if (!huge || !last) throw new Error("two tensors expected");
    expect(await file.read(huge, huge.bytes - 4, 4)).toEqual(new Uint8Array(4));
    expect(await file.read(last, 0, 32)).toEqual(bytesFrom(32, 5));
    await file.close();
  });
});

describe("a large header", () => {
  const COUNT = 1_050_000;
  const tokens = Array.from({ length: 150_000 }, (_, i) => `tok${i}${i % 1000 === 0 ? "é".repeat(50) : ""}`);

  test("is read whole: more elements and bytes than the parser takes, across its chunks", async () => {
    const path = at("large.gguf");
    const template = "x".repeat(3_000_000);
    const small = Array.from(
      { length: 60_000 },
      (_, i): NewKeyValue => ({ key: `k${i}`, type: "string", value: `v${i}` }),
    );
    await writeGguf(path, {
      keyValues: [
        { key: "general.architecture", type: "string", value: "llama" },
        { key: "tokens", type: { array: "string" }, value: tokens },
        ...small,
        { key: "scores", type: { array: "f32" }, value: Array.from({ length: COUNT }, (_, i) => -i) },
        { key: "template", type: "string", value: `${template}end` },
        { key: "after", type: "i64", value: -5n },
      ],
      tensors: TENSORS,
    });
    const file = await openModel(path);
    const { metadata } = file.model;
    expect(metadata.get("tokens")).toEqual(tokens);
    expect((metadata.get("scores") as number[])[COUNT - 1]).toBe(1 - COUNT);
    expect(metadata.get("template")).toBe(`${template}end`);
    for (const { key, value } of small) if (metadata.get(key) !== value) expect(metadata.get(key)).toBe(value);
    expect(metadata.get("after")).toBe(-5n);
    expect(file.model.tensors).toHaveLength(3);
    await file.close();
  });

  test("of 100 MB is read", async () => {
    const path = at("100mb.gguf");
    const long = "y".repeat(1_000_000);
    await writeGguf(path, {
      keyValues: [
        { key: "general.architecture", type: "string", value: "llama" },
        { key: "tokens", type: { array: "string" }, value: Array.from({ length: 100 }, () => long) },
        { key: "after", type: "u32", value: 7 },
      ],
      tensors: TENSORS,
    });
    const file = await openModel(path);
    expect((file.model.metadata.get("tokens") as string[])[99]).toBe(long);
    expect(file.model.metadata.get("after")).toBe(7);
    await file.close();
  });
});

describe("the bundled model", () => {
  test("opens with its 75 tensors and a stable header hash", async () => {
    const file = await openModel(BUNDLED);
    expect(file.model.tensors).toHaveLength(75);
    expect((file.model.metadata.get("tokenizer.ggml.tokens") as string[]).length).toBe(4096);
    expect(file.model.headerHash).toBe("fcd5d22ccc4e220997cb7cfeab725b3b7150671ad4ba6bff3abe0fa0be884ae2");
    await file.close();
  });

  test("a read past a tensor's end is a RangeError, one past a shrunk file's end a FormatError", async () => {
    const path = at("shrinks.gguf");
    copyFileSync(BUNDLED, path);
    const file = await openModel(path);
    const last = file.model.tensors.at(-1);
    if (!last) throw new Error("tensors expected");
    await expect(file.read(last, 0, last.bytes + 1)).rejects.toThrow(RangeError);
    await truncate(path, last.offset + 10);
    await expect(file.read(last, 0, last.bytes)).rejects.toThrow(/got 10; the file shrank/);
    await file.close();
    await file.close();
  });
});

describe("what is not a model file", () => {
  test("a missing file", async () => {
    const error = await failure(at("nothing.gguf"));
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toMatch(/no such file; check the path/);
  });

  test("a directory", async () => {
    await mkdir(at("folder"));
    const error = await failure(at("folder"));
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toMatch(/is a directory; name the .gguf file in it/);
  });

  test.skipIf(process.platform === "win32")("a device", async () => {
    const error = await failure("/dev/zero");
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toMatch(/not a regular file/);
  });

  // The superuser may read everything.
  test.skipIf(process.platform === "win32" || process.getuid?.() === 0)("a file without permission", async () => {
    const path = at("secret.gguf", new Uint8Array(100));
    await chmod(path, 0);
    const error = await failure(path);
    expect(error).toBeInstanceOf(FileError);
    expect(error.message).toMatch(/no permission/);
  });

  test.each([0, 3, 100])("a file of %i zero bytes", async (bytes) => {
    expect(await failure(at(`zeros-${bytes}.gguf`, new Uint8Array(bytes)))).toBeInstanceOf(FormatError);
  });
});

describe("shards", () => {
  const name = (set: string, number: number, count = 3) =>
    at(`${set}-${String(number).padStart(5, "0")}-of-${String(count).padStart(5, "0")}.gguf`);

  const splitKeys = (no: number, count = 3, tensors = 3): NewKeyValue[] => [
    { key: "split.no", type: "u16", value: no },
    { key: "split.count", type: "u16", value: count },
    { key: "split.tensors.count", type: "i32", value: tensors },
  ];

  async function writeSet(set: string): Promise<void> {
    for (const [i, tensor] of TENSORS.entries()) {
      const keyValues = i === 0 ? [...KEY_VALUES, ...splitKeys(0)] : splitKeys(i);
      await writeGguf(name(set, i + 1), { keyValues, tensors: [tensor] });
    }
  }

  test("open as one model, from the first", async () => {
    await writeSet("whole");
    const file = await openModel(name("whole", 1));
    expect(file.model.shards.map(({ path }) => path)).toEqual([1, 2, 3].map((number) => name("whole", number)));
    expect(file.model.tensors.map(({ name, shard }) => [name, shard])).toEqual(TENSORS.map((t, i) => [t.name, i]));
    expect(file.model.metadata.get("f64")).toBe(Math.PI);
    const second = file.model.tensors[1];
    if (!second) throw new Error("three tensors expected");
    expect(await file.read(second, 0, 20)).toEqual(bytesFrom(20, 9));
    const { headerHash } = file.model;
    await file.close();

    await writeGguf(name("whole", 3), {
      keyValues: splitKeys(2),
      tensors: [{ name: "renamed", shape: [2, 1, 3, 1], type: "F16", data: bytesFrom(12, 40) }],
    });
    const changed = await openModel(name("whole", 1));
    expect(changed.model.headerHash).not.toBe(headerHash);
    await changed.close();
  });

  test("opened at another shard name the first", async () => {
    await writeSet("second");
    const error = await failure(name("second", 2));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toContain(`this is shard 2 of 3; open the first one, ${name("second", 1)}`);
  });

  const damages: Readonly<Record<string, readonly [RegExp, (set: string) => Promise<void>]>> = {
    missing: [
      /00002-of-00003.gguf: shard 2 of 3 can't be opened; put all 3 shards into one folder \(no such file/,
      (set) => import("node:fs/promises").then(({ rm }) => rm(name(set, 2))),
    ],
    swapped: [
      /00002-of-00003.gguf: gguf: named shard 2 of 3, so split.no should be 1, got 2/,
      async (set) => {
        copyFileSync(name(set, 2), at("aside.gguf"));
        copyFileSync(name(set, 3), name(set, 2));
        copyFileSync(at("aside.gguf"), name(set, 3));
      },
    ],
    "of another count": [
      /00003-of-00003.gguf: gguf: named shard 3 of 3, so split.count should be 3, got 4/,
      (set) => writeGguf(name(set, 3), { keyValues: splitKeys(2, 4), tensors: TENSORS.slice(2) }),
    ],
    "without split keys": [
      /00003-of-00003.gguf: gguf: named shard 3 of 3, so split.count should be 3, got no such key/,
      (set) => writeGguf(name(set, 3), { keyValues: [], tensors: TENSORS.slice(2) }),
    ],
    "with a tensor too many": [
      /split.tensors.count is 3 but the 3 shards hold 4 tensors/,
      (set) =>
        writeGguf(name(set, 3), {
          keyValues: splitKeys(2),
          tensors: [...TENSORS.slice(2), { name: "more", shape: [1], type: "F32" }],
        }),
    ],
    "with a tensor twice": [
      /00003-of-00003.gguf: gguf: tensor token_embd.weight is in .*00001-of-00003.gguf too/,
      (set) => writeGguf(name(set, 3), { keyValues: splitKeys(2), tensors: TENSORS.slice(0, 1) }),
    ],
    truncated: [
      /00002-of-00003.gguf: gguf: tensor blk.0.attn_norm.weight ends at/,
      (set) => truncate(name(set, 2), statSync(name(set, 2)).size - 32),
    ],
    "with a first one that says it is whole": [
      /00001-of-00003.gguf: gguf: named shard 1 of 3, so split.count should be 3, got no such key/,
      (set) => writeGguf(name(set, 1), { keyValues: KEY_VALUES, tensors: TENSORS.slice(0, 1) }),
    ],
  };

  test.each(Object.entries(damages))("%s are refused with every file closed", async (label, [message, damage]) => {
    const set = label.replaceAll(" ", "-");
    await writeSet(set);
    await damage(set);
    const error = await failure(name(set, 1));
    expect(error.message).toMatch(message);
    expect(await openFiles(set)).toEqual([]);
  });

  test("a first shard under another name says how it should be named", async () => {
    await writeSet("renamed");
    copyFileSync(name("renamed", 1), at("other.gguf"));
    expect((await failure(at("other.gguf"))).message).toMatch(
      /this is shard 1 of 3, but its name does not end in -00001-of-00003.gguf/,
    );
  });

  test("a whole file named as one of one opens", async () => {
    await writeGguf(name("one", 1, 1), { keyValues: KEY_VALUES, tensors: TENSORS });
    const file = await openModel(name("one", 1, 1));
    expect(file.model.shards).toHaveLength(1);
    await file.close();
  });
});

/** Paths this process has open that contain `part`; empty where the system does not tell. */
async function openFiles(part: string): Promise<string[]> {
  if (process.platform !== "linux") return [];
  const handle = await open("package.json", "r");
  const links = await Promise.all(
    (await readdir("/proc/self/fd")).map((fd) => readlink(`/proc/self/fd/${fd}`).catch(() => "")),
  );
  await handle.close();
  // Otherwise this check could not fail.
  expect(links.some((link) => link.endsWith("package.json"))).toBe(true);
  return links.filter((link) => link.includes(`/${part}-`));
}
