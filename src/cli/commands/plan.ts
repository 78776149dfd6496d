/** prism plan: a type for every tensor within a budget, with the files that carry it out. */
import { Command, Option } from "commander";
import { isRemote, localName } from "../../bytes/remote-name.ts";
import { protectInputs } from "../../intake/protect-inputs.ts";
import type { Plan } from "../../plan/plan.ts";
import { requantizes } from "../../plan/quantize-arguments.ts";
import { renderPlanTable } from "../../report/terminal/plan-table.ts";
import { checkOutputs } from "../../verbs/check-outputs.ts";
import { fitsAlready } from "../../verbs/fits-already.ts";
import { checkPlanRequest, plan } from "../../verbs/plan.ts";
import { planFiles, writePlan } from "../../verbs/plan-files.ts";
import type { Exact } from "../../verbs/planning-request.ts";
import type { CommandContext } from "../context.ts";
import { calibrationOption, feedbackOption } from "../feedback-options.ts";
import { fitsAlreadyResult } from "../fits-already-text.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, MODEL_ARGUMENT, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { addPlanningOptions, type PlanningOptions, planningRequest } from "../planning-options.ts";
import { withWorkplace } from "../with-bench.ts";

interface Options extends SharedOptions, PlanningOptions {
  readonly out?: string;
  readonly recipeDir?: string;
  readonly from?: string;
  readonly template?: string;
  readonly base?: string;
  readonly recipe?: string;
  // of both, and here for sure
  readonly exact?: Exact;
  readonly strict?: boolean;
  readonly forceFindings?: boolean;
  readonly feedback?: boolean;
  readonly calibration?: string[];
}

const HELP = `
Exactly one of --bpw, --size and --like is needed, unless --template or --from
says the types. A template is a GGUF (a path, hf: or https:, of which the header
is read), a plan.json, a tensor-types.txt, or a recipe: of Thireus' GGUF Tool
Suite, or published (plans/*-prism-dq.json). A pattern (RE) is a regular
expression that is found anywhere in the name of a tensor.

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
      "-o, --out <file>",
      "where the plan goes (default: plan.json; with --from the edited plan, which needs --force)",
    )
    .option("--recipe-dir <dir>", "where the recipe files go (default: beside the plan)");
  addPlanningOptions(command, "importance matrix, weighting the measured error and used by the quantizer")
    .addOption(feedbackOption())
    .addOption(calibrationOption())
    .option("--from <plan>", "price a plan anew whose types were edited by hand, instead of planning")
    .option(
      "--template <file>",
      "take the types of another file instead of planning: a GGUF, a plan, a recipe, a tensor-types.txt",
    )
    .option("--base <filetype>", "with --template: the preset of tensors that it doesn't name, like Q4_K_M")
    .addOption(new Option("--recipe <file>", "the same as --template").hideHelp());
  return addSharedOptions(
    command,
    "threads",
    "backend",
    "exact",
    "memory",
    "seed",
    "strict",
    "force-findings",
    "cache",
    "force",
  )
    .addHelpText("after", HELP)
    .action((source: string | undefined, options: Options) => run(source, options, context));
}

async function run(source: string | undefined, options: Options, context: CommandContext): Promise<void> {
  const { from, force, recipeDir } = options;
  const output = openOutput(options);
  const target = options.out ?? from ?? "plan.json";
  const files = planFiles(target, recipeDir);
  const request = planningRequest(options);
  checkPlanRequest(source, request);
  const inputs = [
    source,
    options.template ?? options.recipe,
    options.imatrix,
    options.sensitivity,
    options.prior,
    ...(options.calibration ?? []),
  ];
  const makesOwn = from === undefined && options.template === undefined && options.recipe === undefined;
  const fits =
    makesOwn && source !== undefined
      ? await withWorkplace(options, context, output, ({ bench }) => fitsAlready(source, request, bench))
      : undefined;
  if (source !== undefined && fits !== undefined) return output.result(fitsAlreadyResult("plan", source, fits));
  // an edited plan may be priced in its place
  await protectInputs(Object.values(files), [from]);
  await checkOutputs([target, ...Object.values(files)], { inputs, force });
  const made = await withWorkplace(options, context, output, ({ bench, progress }) =>
    plan(source, request, bench, progress.note),
  );
  context.signal.throwIfAborted();
  await writePlan(made, target, files);
  output.result({
    document: made,
    text: (_, width) => `${renderPlanTable(made, width)}\n${describeFiles([target, ...Object.values(files)])}`,
    next: nextCommand(
      "prism",
      "quantize",
      target,
      ...sourceOption(made),
      ...(requantizes(made) ? ["--allow-requantize"] : []),
      ...feedbackOptions(made, options.calibration),
    ),
  });
}

/** Codes are chosen on the text that the plan was made by. */
function feedbackOptions({ feedback }: Plan, calibration: readonly string[] = []): string[] {
  if (feedback === undefined) return [];
  return ["--feedback", ...(calibration.length === 0 ? [] : ["--calibration", ...calibration])];
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
