/** A model → a new file in which what preflight can mend is mended, and nothing else is touched. */
import type { Bench, BenchOpener } from "../bench.ts";
import { checkWritable, fileExists, writeAside } from "../disk/aside-file.ts";
import { checkFreeSpace } from "../disk/free-space.ts";
import { FormatError, PrismError, UsageError } from "../errors.ts";
import { loadModel } from "../evaluate/load-model.ts";
import type { OpenModel } from "../gguf/model.ts";
import { openLocalModel } from "../gguf/open.ts";
import { protectInputs } from "../intake/protect-inputs.ts";
import { describeOutput, type OutputFile } from "../quantize/outputs.ts";
import { planRepair, type RepairPlan } from "../repair/repair.ts";
import { writeRepaired } from "../repair/repair-file.ts";

/** Tokens of the context that a repaired model is loaded with: enough to show that it loads. */
const LOAD_CONTEXT = 32;

export interface RepairRequest {
  /** The repaired GGUF, one file; needed where there is something to do. */
  readonly output?: string | undefined;
  /** Say what would be done, and write nothing. */
  readonly dryRun?: boolean | undefined;
  readonly force?: boolean | undefined;
}

export interface RepairedModel {
  readonly plan: RepairPlan;
  /** Absent where nothing was written. */
  readonly written: OutputFile | undefined;
}

/** Repair. Throws FormatError for what can't be mended, PrismError (`verification`) where llama.cpp refuses the result. */
export async function repairModel(path: string, request: RepairRequest, bench: BenchOpener): Promise<RepairedModel> {
  const file = await openLocalModel(path);
  try {
    const plan = planRepair(file.model);
    const hopeless = plan.refusals.filter(({ blocking }) => blocking).map(({ reason }) => reason);
    if (plan.changes.length === 0 && hopeless.length > 0) {
      throw new FormatError(path, `can't be repaired: ${hopeless.join("; ")}`);
    }
    if (plan.changes.length === 0 || request.dryRun === true) return { plan, written: undefined };
    const { output, force = false } = request;
    if (output === undefined) {
      throw new UsageError(`name the repaired file with -o, or see what would be done with --dry-run`);
    }
    await checkTarget(output, file, force);
    const opened = await bench();
    await writeAside(output, async (aside) => {
      await writeRepaired(file, plan, aside);
      await checkRepaired(aside, path, opened);
    });
    return { plan, written: await describeOutput(output) };
  } finally {
    await file.close();
  }
}

async function checkTarget(target: string, { model, fileBytes }: OpenModel, force: boolean): Promise<void> {
  const folder = await checkWritable(target);
  await protectInputs(
    [target],
    model.shards.map(({ path }) => path),
  );
  if (!force && (await fileExists(target))) {
    throw new UsageError(`${target} exists already; give --force to replace it, or another name with -o`);
  }
  await checkFreeSpace(target, folder, fileBytes);
}

/** The repaired file must need no repair, and llama.cpp must load it, in a process of its own. Throws PrismError. */
async function checkRepaired(aside: string, path: string, bench: Bench): Promise<void> {
  const file = await openLocalModel(aside);
  const { changes } = planRepair(file.model);
  await file.close();
  if (changes.length > 0) {
    throw new PrismError(
      "verification",
      1,
      `${path}: a repaired file would need repair again (${changes.join("; ")}); it was not kept, please report this`,
    );
  }
  try {
    const loaded = await loadModel(aside, { context: LOAD_CONTEXT }, { ...bench, gpuLayers: 0 });
    await loaded.close();
  } catch (error) {
    if (bench.signal.aborted || !(error instanceof Error)) throw error;
    throw new PrismError(
      "verification",
      1,
      `${path}: llama.cpp does not load the repaired file, so it was not kept: ${error.message}`,
      { cause: error },
    );
  }
}
