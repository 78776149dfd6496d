import { open } from "node:fs/promises";
import { describe, expect, test } from "vitest";
import { FormatError } from "../../src/errors.ts";
import { openModel } from "../../src/gguf/open.ts";
import { writeGguf } from "../../src/gguf/writer.ts";
import {
  type RawFile,
  rawFile,
  stringEntry,
  temporaryFolder,
  tensorEntry,
  text,
  u32,
  u32Entry,
  u64,
} from "./raw-header.ts";

const at = temporaryFolder();

/** A hostile header must fail fast: without the time or the memory that its claims would take. */
const MAX_MS = 2_000;
const MAX_GROWTH_BYTES = 64e6;

async function rejection(name: string, bytes: Uint8Array): Promise<Error> {
  const path = at(name, bytes);
  const started = performance.now();
  const before = process.memoryUsage().arrayBuffers;
  const error = await openModel(path).then(
    () => new Error("opened"),
    (reason: Error) => reason,
  );
  expect(performance.now() - started).toBeLessThan(MAX_MS);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(MAX_GROWTH_BYTES);
  return error;
}

const arch = stringEntry("general.architecture", "llama");

const HOSTILE: Readonly<Record<string, readonly [RawFile, RegExp]>> = {
  "another magic": [{ magic: [0x50, 0x4b, 3, 4] }, /expected the magic "GGUF".*got 50 4b 03 04.*not a GGUF file/],
  "version 1": [{ version: 1 }, /version 1 is no longer supported/],
  "version 0": [{ version: 0 }, /expected version 2 or 3, got 0/],
  "version 4": [{ version: 4 }, /expected version 2 or 3, got 4/],
  "big-endian": [{ version: 0x03000000 }, /big-endian/],
  "2^60 tensors": [{ tensorCount: 2n ** 60n }, /claims 1,152,921,504,606,846,976 tensors/],
  "2^60 key-values": [{ keyValueCount: 2n ** 60n }, /claims 1,152,921,504,606,846,976 key-values/],
  "more tensors than the file could hold": [{ tensorCount: 1_000 }, /a header with 1,000 tensors needs 33,000 bytes/],
  "a 2^40-byte string": [
    { keyValues: [[...text("a"), ...u32(8), ...u64(2n ** 40n), 1, 2]] },
    /the value of a needs 1,099,511,627,776 bytes at .* but the file has/,
  ],
  "a 2^40-byte key": [{ keyValues: [[...u64(2n ** 40n), ...text("a")]] }, /key 0 needs 1,099,511,627,776 bytes/],
  "a 2^63-byte key": [
    { keyValues: [[...u64(2n ** 63n), ...text("a")]] },
    /key 0 needs 9,223,372,036,854,775,808 bytes/,
  ],
  "an array of 2^62 numbers": [
    { keyValues: [[...text("a"), ...u32(9), ...u32(12), ...u64(2n ** 62n)]] },
    /the value of a with 4,611,686,018,427,387,904 elements/,
  ],
  "an array of 2^61 strings": [
    { keyValues: [[...text("a"), ...u32(9), ...u32(8), ...u64(2n ** 61n)]] },
    /the value of a with 2,305,843,009,213,693,952 elements/,
  ],
  "an array of arrays": [
    { keyValues: [[...text("a"), ...u32(9), ...u32(9), ...u64(0)]] },
    /the value of a is an array of arrays/,
  ],
  "an unknown value type": [{ keyValues: [[...text("a"), ...u32(13), ...u64(0)]] }, /a has the unknown type 13/],
  "an unknown element type": [
    { keyValues: [[...text("a"), ...u32(9), ...u32(77), ...u64(0)]] },
    /a has the unknown type 77/,
  ],
  "a __proto__ key": [{ keyValues: [stringEntry("__proto__", "x")] }, /the key __proto__ is not allowed/],
  "a constructor key": [{ keyValues: [stringEntry("constructor", "x")] }, /the key constructor is not allowed/],
  "a prototype key": [{ keyValues: [stringEntry("prototype", "x")] }, /the key prototype is not allowed/],
  "an empty key": [{ keyValues: [stringEntry("", "x")] }, /key 0 is empty/],
  "a key with a NUL": [{ keyValues: [stringEntry("a\0b", "x")] }, /key 0 holds control characters/],
  "a key twice": [{ keyValues: [arch, arch] }, /the key general.architecture appears twice/],
  "an alignment of 48": [
    { keyValues: [u32Entry("general.alignment", 48)] },
    /alignment is 48, expected a power of two/,
  ],
  "an alignment of 0": [{ keyValues: [u32Entry("general.alignment", 0)] }, /alignment is 0, expected a power of two/],
  "an alignment of another type": [
    { keyValues: [[...text("general.alignment"), ...u32(10), ...u64(32)]] },
    /general.alignment must be a u32/,
  ],
  "a tensor name twice": [{ tensors: [tensorEntry(), tensorEntry({ offset: 32 })] }, /two tensors are named t/],
  "an empty tensor name": [{ tensors: [tensorEntry({ name: text("") })] }, /the name of tensor 0 is empty/],
  "a tensor name of 64 bytes": [
    { tensors: [tensorEntry({ name: text("n".repeat(64)) })] },
    /the name of tensor 0 has 64 bytes, expected at most 63/,
  ],
  "a tensor name with an escape sequence": [
    { tensors: [tensorEntry({ name: text("\u001b[2J") })] },
    /the name of tensor 0 holds control characters/,
  ],
  "a tensor name that is not UTF-8": [
    { tensors: [tensorEntry({ name: [...u64(2), 0xc3, 0x28] })] },
    /the name of tensor 0 is not valid UTF-8/,
  ],
  "no dimensions": [{ tensors: [tensorEntry({ dims: [] })] }, /tensor t has 0 dimensions, expected 1 to 4/],
  "5 dimensions": [{ tensors: [tensorEntry({ dims: [1, 1, 1, 1, 1] })] }, /tensor t has 5 dimensions/],
  "a dimension of 0": [{ tensors: [tensorEntry({ dims: [8, 0] })] }, /tensor t has a dimension of 0/],
  "2^63 elements": [
    { tensors: [tensorEntry({ dims: [2n ** 32n, 2n ** 31n] })] },
    /tensor t has more than 2\^53 elements/,
  ],
  "a removed tensor type": [{ tensors: [tensorEntry({ type: 4 })] }, /tensor t has the type Q4_2 \(id 4\).*removed/],
  "an unknown tensor type": [{ tensors: [tensorEntry({ type: 1390 })] }, /tensor t has the unknown type id 1390/],
  "a tensor type of BitNet": [
    { tensors: [tensorEntry({ type: 36 })] },
    /tensor t has the type id 36: I2_S of BitNet.*bitnet\.cpp, or give the original f16/,
  ],
  "a tensor type of ik_llama.cpp": [
    { tensors: [tensorEntry({ type: 139 })] },
    /tensor t has the type IQ4_K \(id 139\) of ik_llama\.cpp.*or give the original f16/,
  ],
  "a row of part of a block": [
    { tensors: [tensorEntry({ dims: [48], type: 8 })] },
    /tensor t has rows of 48 elements, expected a multiple of Q8_0's block of 32/,
  ],
  "an offset between alignments": [
    { tensors: [tensorEntry({ offset: 8 })] },
    /tensor t starts at 8 of the data, expected a multiple of 32/,
  ],
  "an offset of 2^63": [{ tensors: [tensorEntry({ offset: 2n ** 63n })] }, /tensor t starts at .*beyond any file/],
  "data beyond the end of the file": [
    { tensors: [tensorEntry({ dims: [32] })] },
    /tensor t ends at 192 bytes but the file has 128; the download is probably truncated/,
  ],
  "overlapping tensors": [
    { tensors: [tensorEntry({ dims: [16] }), tensorEntry({ name: text("u"), offset: 32 })] },
    /tensor u starts at .*inside t/,
  ],
};

describe("a hostile header is a FormatError, fast and without a large allocation", () => {
  test.each(Object.entries(HOSTILE))("%s", async (name, [file, message]) => {
    const error = await rejection(`${name.replaceAll(/\W/g, "-")}.gguf`, rawFile(file));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(message);
  });

  test("the same builder without a fault makes a file that opens", async () => {
    const file = await openModel(at("good.gguf", rawFile({ keyValues: [arch], tensors: [tensorEntry()] })));
    expect(file.model.tensors.map(({ name }) => name)).toEqual(["t"]);
    await file.close();
  });

  test("a 2^37-byte string that would lie inside a 400 GB hole", async () => {
    const path = at("hole.gguf");
    await writeGguf(path, { keyValues: [], tensors: [{ name: "w", shape: [2 ** 20, 100_000], type: "F32" }] });
    const handle = await open(path, "r+");
    // A string of 2^37 bytes would lie inside the file, but no header is that long.
    const header = rawFile({ keyValues: [[...text("a"), ...u32(8), ...u64(2n ** 37n)]], dataBytes: 0 });
    await handle.write(header, 0, header.length, 0);
    await handle.close();
    const error = await openModel(path).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(FormatError);
    expect((error as Error).message).toMatch(/beyond the 268,435,456 that a header may have/);
  });
});

describe("a truncated file", () => {
  const whole = rawFile({
    keyValues: [
      arch,
      [...text("tokens"), ...u32(9), ...u32(8), ...u64(2), ...text("a"), ...text("bc")],
      [...text("f"), ...u32(6), ...u32(0x3f800000)],
    ],
    tensors: [
      tensorEntry({ name: text("blk.0.w"), dims: [8, 2] }),
      tensorEntry({ name: text("blk.0.v"), dims: [32], type: 8, offset: 64 }),
    ],
    dataBytes: 64 + 34,
  });

  test("opens when it is whole", async () => {
    const file = await openModel(at("whole.gguf", whole));
    expect(file.model.tensors).toHaveLength(2);
    await file.close();
  });

  test("is a FormatError wherever it is cut", async () => {
    for (let bytes = 0; bytes < whole.length; bytes++) {
      const error = await rejection("cut.gguf", whole.subarray(0, bytes));
      expect(error, `cut at ${bytes}`).toBeInstanceOf(FormatError);
    }
  });

  test("names the first tensor that is not whole", async () => {
    const error = await rejection("cut-tail.gguf", whole.subarray(0, whole.length - 1));
    expect(error.message).toMatch(/gguf: tensor blk\.0\.v ends at \d+ bytes but the file has \d+; the download is/);
  });
});

test("no single changed byte of a header makes anything but a model or a FormatError", async () => {
  const header = rawFile({
    keyValues: [arch, [...text("x"), ...u32(9), ...u32(5), ...u64(2), ...u32(1), ...u32(2)]],
    tensors: [tensorEntry({ dims: [4, 2] }), tensorEntry({ name: text("u"), offset: 32 })],
  });
  for (let position = 0; position < header.length - 64; position++) {
    for (const change of [0x01, 0x80]) {
      const bytes = header.slice();
      bytes[position] = (bytes[position] ?? 0) ^ change;
      const path = at("changed.gguf", bytes);
      const result = await openModel(path).catch((reason: unknown) => reason);
      if (result instanceof Error) expect(result, `byte ${position} ^ ${change}`).toBeInstanceOf(FormatError);
      else await (result as { close(): Promise<void> }).close();
    }
  }
});
