import { copyFile, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { fileExists } from "../../src/disk/aside-file.ts";
import { readSealedParts, writeSealedParts } from "../../src/disk/sealed-parts.ts";

let dir: string;
let path: string;
let notes: string[];
const PARTS = [Uint8Array.of(1, 2, 3), Uint8Array.of(), Uint8Array.of(10, 10, 4)];

async function read(name = path) {
  const parts: Uint8Array[] = [];
  const partsOf = ({ lengths }: { lengths: number[] }) => {
    parts.push(...lengths.map((length) => new Uint8Array(length)));
    return parts;
  };
  const content = await readSealedParts(name, partsOf, (text) => notes.push(text));
  return content && { content, parts };
}

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-sealed-parts-"));
  path = join(dir, "kept");
  notes = [];
  await writeSealedParts(path, { lengths: PARTS.map(({ length }) => length) }, PARTS);
});
afterEach(() => rm(dir, { recursive: true }));

it("gives back what was sealed, and nothing where nothing is", async () => {
  expect(await read()).toEqual({ content: { lengths: [3, 0, 3] }, parts: PARTS });
  expect(await read(join(dir, "absent"))).toBeUndefined();
  expect(notes).toEqual([]);
  expect(await readdir(dir)).toEqual(["kept"]);
});

it("holds a line longer than what is read at once", async () => {
  const content = { lengths: [3], names: "a".repeat(200_000) };
  await writeSealedParts(path, content, [Uint8Array.of(7, 8, 9)]);
  expect(await read()).toEqual({ content, parts: [Uint8Array.of(7, 8, 9)] });
});

it("believes no file with any bit flipped, and removes it", async () => {
  const whole = await readFile(path);
  for (let bit = 0; bit < 8 * whole.length; bit += 3) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    await writeFile(path, damaged);
    expect(await read()).toBeUndefined();
    expect(await fileExists(path)).toBe(false);
    expect(notes.pop()).toMatch(/kept is damaged/);
  }
});

it("believes no file that was cut or added to, and none in the place of another", async () => {
  const whole = await readFile(path);
  for (let length = 0; length < whole.length; length++) {
    await writeFile(path, whole.subarray(0, length));
    expect(await read()).toBeUndefined();
  }
  await writeFile(path, Buffer.concat([whole, Buffer.from([0])]));
  expect(await read()).toBeUndefined();
  await writeFile(path, whole);
  await copyFile(path, join(dir, "other"));
  expect(await read(join(dir, "other"))).toBeUndefined();
  expect(await read()).toBeDefined();
});
