import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { statfs, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";
import type { Engine } from "../../src/engine/engine.ts";
import { FileError } from "../../src/errors.ts";
import { openLocalModel } from "../../src/gguf/open.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { planSpec } from "../../src/quantize/plan-spec.ts";
import { quantize } from "../../src/quantize/quantize.ts";
import { uniformSensitivity } from "../../src/sensitivity/sensitivity.ts";
import { testBench } from "../bench.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { madeUpAnalysis } from "../quantize/made-up-analysis.ts";

/** Room for the output and what quantize() wants to spare, so that it begins. */
const DISK = "size=24m";

const dir = mkdtempSync(join(tmpdir(), "prism-disk-"));
const disk = mkdtempSync(join(dir, "mount-"));
const mounted = mountDisk();
let engine: Engine;
beforeAll(async () => {
  engine = await openEmbeddedEngine({ threads: 1 });
});
afterAll(async () => {
  await engine.close();
  if (mounted) execFileSync("umount", [disk]);
  rmSync(dir, { recursive: true, force: true });
});

function mountDisk(): boolean {
  try {
    execFileSync("mount", ["-t", "tmpfs", "-o", DISK, "tmpfs", disk], { stdio: "ignore" });
    return true;
  } catch {
    return false; // not root, or no Linux: the test is skipped, visibly
  }
}

it.skipIf(!mounted)(
  "a disk that fills up while the engine writes is named as the cause, and is left clean",
  async () => {
    const source = await writeRunnable("llama", dir);
    const analysis = await madeUpAnalysis(source);
    const budget = { kind: "like", fileType: "Q4_K_M" } as const;
    const plan = makePlan({ analysis, sensitivity: uniformSensitivity(analysis), budget });
    // Somebody else takes the space once the check for room has passed.
    const crowded: Engine = {
      ...engine,
      async quantize(job) {
        const { bavail, bsize } = await statfs(disk);
        await writeFile(join(disk, "other"), Buffer.alloc(bavail * bsize - 2 ** 19));
        return engine.quantize(job);
      },
    };
    const spec = planSpec(plan, join(disk, "model.gguf"));
    const model = await openLocalModel(source);
    const error = await quantize(model, spec, {}, testBench(crowded)).catch((thrown: unknown) => thrown);
    await model.close();
    expect(error).toBeInstanceOf(FileError);
    expect((error as FileError).message).toContain("no space left on the disk");
    expect(readdirSync(disk)).toEqual(["other"]);
  },
);
