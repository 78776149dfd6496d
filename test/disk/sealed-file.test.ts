import { copyFile, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { fileExists } from "../../src/disk/aside-file.ts";
import { readSealed, writeSealed } from "../../src/disk/sealed-file.ts";

let dir: string;
let path: string;
let notes: string[];
const read = (name = path) => readSealed(name, (text) => notes.push(text));

beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-sealed-"));
  path = join(dir, "kept");
  notes = [];
  await writeSealed(path, "kld .05");
});
afterEach(() => rm(dir, { recursive: true }));

it("gives back what was sealed", async () => {
  expect((await read())?.toString()).toBe("kld .05");
  expect(await read(join(dir, "absent"))).toBeUndefined();
  expect(notes).toEqual([]);
});

it("believes no file with any bit flipped, and removes it", async () => {
  const whole = await readFile(path);
  for (let bit = 0; bit < 8 * whole.length; bit += 5) {
    const damaged = Buffer.from(whole);
    damaged[bit >> 3] = (damaged[bit >> 3] as number) ^ (1 << (bit & 7));
    await writeFile(path, damaged);
    expect(await read()).toBeUndefined();
    expect(await fileExists(path)).toBe(false);
    expect(notes.pop()).toMatch(/kept is damaged/);
  }
});

it("believes no file that was cut, and none in the place of another", async () => {
  const whole = await readFile(path);
  await copyFile(path, join(dir, "other"));
  expect(await read(join(dir, "other"))).toBeUndefined();
  for (const length of [0, 10, 72, whole.length - 1]) {
    await writeFile(path, whole.subarray(0, length));
    expect(await read()).toBeUndefined();
  }
});
