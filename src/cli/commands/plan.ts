/** prism plan: a type for every tensor within a budget, with the files that carry it out. */
import { Command } from "commander";
import { isRemote, localName } from "../../bytes/remote-name.ts";
import { InterruptedError, UsageError } from "../../errors.ts";
import type { Plan } from "../../plan/plan.ts";
import { requantizes } from "../../plan/quantize-arguments.ts";
import { renderPlanTable } from "../../report/terminal/plan-table.ts";
import type { CommandContext } from "../context.ts";
import { strictOption } from "../model-findings.ts";
import { nextCommand } from "../next-command.ts";
import {
  backendOption,
  exactOption,
  forceOption,
  jsonOption,
  MODEL_ARGUMENT,
  memoryOption,
  noCacheOption,
  quietOption,
  seedOption,
  threadsOption,
} from "../options.ts";
import { type Output, openOutput } from "../output.ts";
import { checkOutputs } from "../output-files.ts";
import { planFiles, writePlan } from "../plan-files.ts";
import {
  type PlanRequest,
  parseBudget,
  parseConstraints,
  parseMode,
  planFromEdited,
  planFromPublished,
  planModel,
} from "../plan-model.ts";
import { addPlanningOptions } from "../planning-options.ts";

interface PlanCliOptions extends PlanRequest {
  readonly output?: string;
  readonly recipeDir?: string;
  readonly from?: string;
  readonly recipe?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
Exactly one of --bpw, --size and --like is needed, unless --recipe or --from
says the types. A pattern (RE) is a regular expression that is found anywhere in
the name of a tensor.

Beside plan.json go recipe.sh, recipe.ps1, tensor-types.txt, custom-q.txt and
evaluate.sh; beside a NAME.json, NAME.recipe.sh and so on.

To plan a model more than once, keep its analysis:
  prism analyze MODEL.gguf
  prism plan MODEL.analysis.json --bpw 4`;

export function planCommand(context: CommandContext): Command {
  const command = new Command("plan")
    .description("choose a type for every tensor within a budget; write the plan and the recipe files")
    .argument("[model]", `${MODEL_ARGUMENT}; or the analysis of one`)
    .option(
      "-o, --output <file>",
      "where the plan goes (default: plan.json; with --from the edited plan, which needs --force)",
    )
    .option("--recipe-dir <dir>", "where the recipe files go (default: beside the plan)");
  return addPlanningOptions(command)
    .option("--from <plan>", "price a plan anew whose types were edited by hand, instead of planning")
    .option("--recipe <file>", "take the types of a published recipe (plans/*-prism-dq.json) instead of planning")
    .addOption(threadsOption())
    .addOption(backendOption())
    .addOption(exactOption())
    .addOption(memoryOption())
    .addOption(seedOption())
    .addOption(strictOption())
    .addOption(noCacheOption())
    .addOption(forceOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText("after", HELP)
    .action((source: string | undefined, options: PlanCliOptions) => runPlan(source, options, context));
}

async function runPlan(source: string | undefined, options: PlanCliOptions, context: CommandContext): Promise<void> {
  const { from, force = false, recipeDir } = options;
  const output = openOutput(options);
  const make = chooseWork(source, options);
  const target = options.output ?? from ?? "plan.json";
  const files = planFiles(target, recipeDir);
  await checkOutputs([target, ...Object.values(files)], force);
  const plan = await make(context, output);
  if (context.signal.aborted) throw new InterruptedError();
  await writePlan(plan, target, files);
  output.result({
    document: plan,
    text: () => `${renderPlanTable(plan)}\n${describeFiles([target, ...Object.values(files)])}`,
    next: nextCommand(
      "prism",
      "quantize",
      target,
      ...sourceOption(plan),
      ...(requantizes(plan) ? ["--allow-requantize"] : []),
    ),
  });
}

/** What makes the plan. A request that is wrong in itself is refused before any file is looked at. */
function chooseWork(
  source: string | undefined,
  options: PlanCliOptions,
): (context: CommandContext, output: Output) => Promise<Plan> {
  const { from, recipe } = options;
  if (from !== undefined && recipe !== undefined) {
    throw new UsageError("--from and --recipe: both say the types; leave one out");
  }
  if (from !== undefined) return (context, output) => planFromEdited(from, source, options, context, output);
  if (source === undefined) {
    throw new UsageError("name the model or its analysis: prism plan MODEL.gguf --like Q3_K_M");
  }
  if (recipe !== undefined) return (context, output) => planFromPublished(recipe, source, options, context, output);
  parseBudget(options);
  parseMode(options.mode);
  parseConstraints(options);
  return (context, output) => planModel(source, options, context, output);
}

/** A plan of a remote model is carried out on a copy of it here. */
function sourceOption({ source }: Plan): string[] {
  return isRemote(source.path) ? ["--source", localName(source.path)] : [];
}

/** One file to a line would push the plan off the screen. */
function describeFiles(paths: readonly string[]): string {
  const [plan, ...recipes] = paths;
  return `wrote ${plan}\n  and ${recipes.join("\n      ")}`;
}
