/** The native library of this checkout, held back to an instruction set. */
import { copyFileSync, existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach } from "vitest";
import { libraryPath, loadLibrary, type NativeLibrary } from "../../src/kernels/native-library.ts";

export const ISAS = ["baseline", "avx2", "widest"] as const;
export type Isa = (typeof ISAS)[number];

/** For a test file. A copy chooses anew, when it is first called. */
export function heldBackLibraries(): (isa: Isa) => NativeLibrary {
  const folder = mkdtempSync(join(tmpdir(), "prism-isa-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  afterEach(() => {
    delete process.env.PRISM_ISA;
  });
  return (isa) => {
    const copy = join(folder, `${isa}.so`);
    if (!existsSync(copy)) copyFileSync(libraryPath(), copy);
    process.env.PRISM_ISA = isa;
    const found = loadLibrary(copy);
    if (typeof found === "string") throw new Error(found);
    return found;
  };
}
