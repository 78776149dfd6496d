/** prism repair: a new file in which what preflight can mend is mended, and nothing else is touched. */
import { Command } from "commander";
import { checkWritable, fileExists, writeAside } from "../../disk/aside-file.ts";
import { hashFile } from "../../disk/file-hash.ts";
import { checkFreeSpace } from "../../disk/free-space.ts";
import { openEngine } from "../../engine/open-engine.ts";
import { FormatError, PrismError, UsageError } from "../../errors.ts";
import type { ModelFile } from "../../gguf/model.ts";
import { openLocalModel } from "../../gguf/open.ts";
import { sameFile } from "../../quantize/source.ts";
import { planRepair, type RepairPlan } from "../../repair/repair.ts";
import { writeRepaired } from "../../repair/repair-file.ts";
import { renderRepair } from "../../report/terminal/repair-text.ts";
import type { CommandContext } from "../context.ts";
import { nextCommand } from "../next-command.ts";
import { forceOption, jsonOption, quietOption } from "../options.ts";
import { type Output, openOutput } from "../output.ts";

/** Tokens of the context that a repaired model is loaded with: enough to show that it loads. */
const LOAD_CONTEXT = 32;

interface Options {
  readonly output?: string;
  readonly dryRun?: boolean;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
Repairs a layer count that is wrong (MTP layers that were not converted),
alignment, missing marks of a reranker (a head grafted from the rows of "yes"
and "no", labels, pooling type, prompt), and tensors that llama.cpp refuses.
Everything else is copied byte for byte. A model that needs nothing is left
alone: no file is written. What was done is told in the file's metadata
(prism.repair.*). prism inspect says what is wrong with a model.`;

export function repairCommand(context: CommandContext): Command {
  return new Command("repair")
    .description("write a new file in which what inspect finds wrong is mended, where it can be")
    .argument("<model>", "a GGUF file or the first of its shards, on this machine")
    .option("-o, --output <file>", "the repaired GGUF, one file")
    .option("--dry-run", "say what would be done, and write nothing")
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText("after", HELP)
    .action((path: string, options: Options) => run(path, options, context));
}

async function run(path: string, options: Options, { signal }: CommandContext): Promise<void> {
  const output = openOutput(options);
  const file = await openLocalModel(path);
  try {
    const plan = planRepair(file.model);
    const hopeless = plan.refusals.filter(({ blocking }) => blocking).map(({ reason }) => reason);
    if (plan.changes.length === 0 && hopeless.length > 0) {
      throw new FormatError(path, `can't be repaired: ${hopeless.join("; ")}`);
    }
    if (plan.changes.length === 0 || options.dryRun) {
      tell(path, plan, undefined, options, output);
      return;
    }
    if (options.output === undefined) {
      throw new UsageError(`name the repaired file with -o, or see what would be done with --dry-run`);
    }
    await checkTarget(options.output, file, options.force ?? false);
    await writeAside(options.output, async (aside) => {
      await writeRepaired(file, plan, aside);
      await checkRepaired(aside, path, signal);
    });
    const sha256 = await hashFile(options.output);
    tell(path, plan, { path: options.output, sha256, fileBytes: await fileBytes(options.output) }, options, output);
  } finally {
    await file.close();
  }
}

interface Written {
  readonly path: string;
  readonly sha256: string;
  readonly fileBytes: number;
}

function tell(path: string, plan: RepairPlan, written: Written | undefined, options: Options, output: Output): void {
  const { changes, refusals } = plan;
  output.result({
    document: {
      schema: "prism.repair/1",
      path,
      dryRun: options.dryRun ?? false,
      changes,
      refusals: refusals.map(({ reason }) => reason),
      ...(written === undefined ? {} : { output: written }),
    },
    text: () => renderRepair(plan, path, written),
    next:
      changes.length > 0 && written === undefined
        ? nextCommand("prism", "repair", path, "-o", path.replace(/(\.gguf)?$/i, "-repaired.gguf"))
        : nextCommand("prism", "inspect", written?.path ?? path),
  });
}

async function checkTarget(target: string, { model }: ModelFile, force: boolean): Promise<void> {
  const folder = await checkWritable(target);
  for (const { path } of model.shards) {
    if (await sameFile(path, target))
      throw new UsageError(`the output ${target} is the model itself; choose another name`);
  }
  if (!force && (await fileExists(target))) {
    throw new UsageError(`${target} exists already; give --force to replace it, or another name with -o`);
  }
  const bytes = model.shards.reduce((sum, shard) => sum + shard.fileBytes, 0);
  await checkFreeSpace(target, folder, bytes);
}

/** The repaired file must need no repair, and llama.cpp must load it, in a process of its own. Throws PrismError. */
async function checkRepaired(aside: string, path: string, signal: AbortSignal): Promise<void> {
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
  const engine = await openEngine({ threads: 1 });
  try {
    const loaded = await engine.load({ model: aside, context: LOAD_CONTEXT, threads: 1, gpuLayers: 0, signal });
    await loaded.close();
  } catch (error) {
    if (signal.aborted || !(error instanceof Error)) throw error;
    throw new PrismError(
      "verification",
      1,
      `${path}: llama.cpp does not load the repaired file, so it was not kept: ${error.message}`,
      { cause: error },
    );
  } finally {
    await engine.close();
  }
}

async function fileBytes(path: string): Promise<number> {
  const file = await openLocalModel(path);
  await file.close();
  return file.model.shards.reduce((sum, shard) => sum + shard.fileBytes, 0);
}
