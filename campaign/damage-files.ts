/** Damages files on a disk: as bits rot, as writes are cut, as somebody replaces what is being read. */
import { copyFile, link, open, readdir, readFile, rename, stat, truncate, utimes, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Draw } from "./draw.ts";

export const SOURCE_CHANGES = ["replaced in place", "replaced by a rename", "truncated", "touched", "linked"] as const;

/** Change `m.gguf` of a room; b.gguf is another model of the same header and size, a.gguf the good one. */
export async function changeSource(
  how: (typeof SOURCE_CHANGES)[number] | "restored",
  room: string,
  draw: Draw,
): Promise<void> {
  const path = join(room, "m.gguf");
  const other = join(room, "b.gguf");
  if (how === "touched") await utimes(path, new Date(), new Date());
  else if (how === "linked") await link(path, join(room, "linked.gguf"));
  else if (how === "truncated") await truncate(path, draw.below((await stat(path)).size));
  else if (how === "replaced in place") {
    const file = await open(path, "r+");
    await file.write(await readFile(other));
    await file.close();
  } else {
    const aside = join(room, "aside.gguf");
    await copyFile(how === "restored" ? join(room, "a.gguf") : other, aside);
    await rename(aside, path);
  }
}

const DAMAGES: Readonly<Record<string, (bytes: Buffer, draw: Draw) => Buffer>> = {
  "with flipped bits"(bytes, draw) {
    for (let times = 1 + draw.below(8); times > 0; times--) {
      const at = draw.below(bytes.length);
      bytes[at] = (bytes[at] ?? 0) ^ (1 << draw.below(8));
    }
    return bytes;
  },
  "with a changed digit"(bytes, draw) {
    const digits = [...bytes.keys()].filter((at) => (bytes[at] ?? 0) >= 0x30 && (bytes[at] ?? 0) <= 0x39);
    const at = digits[draw.below(digits.length)] ?? 0;
    bytes[at] = 0x30 + (((bytes[at] ?? 0) - 0x30 + 1 + draw.below(9)) % 10);
    return bytes;
  },
  "cut short": (bytes, draw) => bytes.subarray(0, draw.below(bytes.length)),
  "with a zeroed tail": (bytes, draw) => bytes.fill(0, draw.below(bytes.length)),
  emptied: () => Buffer.alloc(0),
};

export interface Damage {
  /** Relative to the folder. */
  readonly file: string;
  readonly how: string;
}

/** Damage one of the files in `folder` whose relative name fits; undefined where there is none. */
export async function damageIn(folder: string, fits: RegExp, draw: Draw): Promise<Damage | undefined> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1))
    .filter((name) => fits.test(name))
    .sort();
  if (files.length === 0) return undefined;
  const file = draw.pick(files);
  const path = join(folder, file);
  const neighbours = files.filter((other) => dirname(other) === dirname(file) && other !== file);
  if (neighbours.length > 0 && draw.chance(0.15)) {
    await copyFile(join(folder, draw.pick(neighbours)), path);
    return { file, how: "in another's place" };
  }
  const how = draw.pick(Object.keys(DAMAGES));
  const bytes = await readFile(path);
  if (bytes.length > 0) await writeFile(path, DAMAGES[how]?.(bytes, draw) ?? bytes);
  return { file, how };
}
