/**
 * koffi, which calls libraries, is a native addon itself. It is loaded when it is first needed, which is after a child
 * process has loaded it: a damaged one ends the process that loads it, or computes other numbers.
 */
import { readdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, join } from "node:path";
import type koffi from "koffi";
import { checksumOf } from "./kernel-files.ts";

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

/** The version in package.json. */
export const KOFFI_VERSION = "3.3.4";

/** SHA-256 of its addons, as npm published them. */
const CHECKSUMS: Readonly<Record<string, string>> = {
  "darwin_arm64/koffi.node": "b9aecb03e160adb199ea66128a6986cbd5550056bd7fb19f4d35f366cf861c61",
  "darwin_x64/koffi.node": "5dad9e07f28a7ffec3d3a96bb045fe498f6877b6c0694ac4e3ae4ae39f22ef36",
  "linux_armhf/koffi.node": "3a24a0cccacdc15726e78ac39f368e4ac178fe5255cbc0415e956b13852c0ef9",
  "linux_arm64/koffi.node": "7086182b845ae3a0e22113513c9a4e4f2b7838814b079c9a91270887eab1adf1",
  "musl_arm64/koffi.node": "07454e12b8c3f3444d8fb74d533f9a5c4951b4cb2040d43987e46168b7de2a45",
  "linux_x64/koffi.node": "bee3ebc173f47178269e8441fbfd90899c8fe6bc3c948f481c79670f924b1725",
  "musl_x64/koffi.node": "9adcea38c4feb5bdf91d07535c75d9d1caecf7a9b9f8cc87a9a1271a52d8b1ab",
  "win32_arm64/koffi.node": "39fe96e2a2da1ed2ab26d4b2cad01de85d42f7197048e471c65ba5afa3ce7050",
  "win32_x64/koffi.node": "a77b6bb6f60cdd360a41cc4e9f8a0e2a4c5b8e6dd83f43e756af285c59a7c4c2",
};

/** Which of its files is not the one that was published. Undefined where all are, and for platforms that are not known. */
export function koffiDamage(): string | undefined {
  for (const path of koffiFiles()) {
    const published = CHECKSUMS[`${basename(dirname(path))}/${basename(path)}`];
    if (published === undefined || published === checksumOf(readFileSync(path))) continue;
    return `koffi (${path}) is damaged: its SHA-256 is not the one it was published with`;
  }
  return undefined;
}
