/** Which file of the engine's package, or of koffi that loads it, is damaged. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { checksumOf } from "../kernels/kernel-files.ts";
import { KOFFI_REMEDY, koffiDamage, koffiFiles } from "../kernels/koffi.ts";
import { type EnginePackage, reinstallRemedy } from "./package.ts";
import { PACKAGE_CHECKSUMS } from "./package-checksums.ts";

/**
 * The first file that is not the one that was published, and what to do. Undefined where all are, and for builds whose
 * checksums are not known. A damaged one does not only crash: it may also compute other numbers.
 */
export function damageOf(found: EnginePackage): string | undefined {
  const koffi = koffiDamage();
  if (koffi !== undefined) return `${koffi}; ${KOFFI_REMEDY}`;
  for (const [name, published] of Object.entries(PACKAGE_CHECKSUMS[found.name] ?? {})) {
    const path = join(found.dir, name);
    if (!existsSync(path) || checksumOf(readFileSync(path)) === published) continue;
    return `${path} is damaged: its SHA-256 is not the one it was published with; ${reinstallRemedy(found)}`;
  }
  return undefined;
}

/** What damaged code does; SIGABRT is what Node does where it can't start. */
const FAULTS: ReadonlySet<string> = new Set(["SIGSEGV", "SIGBUS", "SIGILL", "SIGFPE", "SIGTRAP"]);

/** Whether koffi explains why a process ended before koffi was loaded, and what to do. */
export function koffiFault(how: string, said: readonly string[]): string | undefined {
  const failed = FAULTS.has(how) || said.some((line) => /koffi|koromix/i.test(line));
  return failed
    ? `koffi can't be loaded (${koffiFiles().join(", ") || "its addon is not there"}); ${KOFFI_REMEDY}`
    : undefined;
}
