/**
 * koffi, which calls libraries, is a native addon itself. It is loaded when it is first needed, which is after a child
 * process has loaded it: a damaged one ends the process that loads it.
 */
import { readdirSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import type koffi from "koffi";

export type Koffi = typeof koffi;
export type LoadedFile = ReturnType<Koffi["load"]>;

const require = createRequire(import.meta.url);

/** Throws an Error where it can't be loaded. */
export function loadKoffi(): Koffi {
  return require("koffi") as Koffi;
}

/** What to do about a koffi that is damaged. */
export const KOFFI_REMEDY = "delete node_modules/koffi and node_modules/@koromix, and type npm install again";

/** The files that loading koffi may load: those of its package for this platform. None where that isn't found. */
export function koffiFiles(): string[] {
  try {
    const entry = createRequire(require.resolve("koffi")).resolve(`@koromix/koffi-${process.platform}-${process.arch}`);
    const names = readdirSync(dirname(entry), { recursive: true, encoding: "utf8" });
    return names.filter((name) => name.endsWith(".node")).map((name) => join(dirname(entry), name));
  } catch {
    return [];
  }
}
