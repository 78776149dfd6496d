/** prism show: a plan, a run or a published recipe as tables and pictures; what differs; why a tensor has its type. */
import { stat } from "node:fs/promises";
import { basename, dirname } from "node:path";
import { Command, Option } from "commander";
import { fileExists } from "../../disk/aside-file.ts";
import { UsageError } from "../../errors.ts";
import { diffPlans } from "../../plan/diff.ts";
import { explainTensor } from "../../plan/explain.ts";
import type { Plan } from "../../plan/plan.ts";
import { printable } from "../../plan/printable.ts";
import type { PublishedRecipe } from "../../plan/published-recipe.ts";
import { mapTensors } from "../../report/charts/model-map.ts";
import type { ReportDocuments } from "../../report/html/report-data.ts";
import { stoppedInWords } from "../../report/stopped-words.ts";
import { renderDiffTable } from "../../report/terminal/diff-table.ts";
import { renderExplanation } from "../../report/terminal/explain-text.ts";
import { renderFamily } from "../../report/terminal/family-table.ts";
import { renderMapText } from "../../report/terminal/map-text.ts";
import type { Paint } from "../../report/terminal/paint.ts";
import { renderParetoText } from "../../report/terminal/pareto-text.ts";
import { renderPlanTable } from "../../report/terminal/plan-table.ts";
import { renderRecipeTable } from "../../report/terminal/recipe-table.ts";
import { fitLines } from "../../report/terminal/wrap-words.ts";
import { runDirectory } from "../../run/run-state.ts";
import { loadPlan, loadPlanOrRecipe } from "../../verbs/load-document.ts";
import { loadReportSource } from "../../verbs/report-source.ts";
import type { CommandContext } from "../context.ts";
import { fileOfPlan } from "../file-of-plan.ts";
import { madeLines, takenLines, takenModel } from "../made-lines.ts";
import { nextCommand } from "../next-command.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput, type Result } from "../output.ts";

interface ShowOptions extends SharedOptions {
  readonly diff?: string;
  readonly explain?: string;
}

export function showCommand(_context: CommandContext): Command {
  const command = new Command("show")
    .description(
      "show a plan or a run as tables, map and Pareto front, against another plan, or why a tensor has its type",
    )
    .argument("<source>", "a plan.json, the directory of a run, or a recipe of plans/")
    .addOption(new Option("--diff <plan>", "what changes from this plan to another").conflicts("explain"))
    .addOption(new Option("--explain <tensor>", "why a tensor has its type, and what the others would cost"));
  return addSharedOptions(command).action(async (path: string, options: ShowOptions) =>
    openOutput(options).result(await show(path, options)),
  );
}

async function show(named: string, options: ShowOptions): Promise<Result> {
  const path = basename(named) === "state.json" ? dirname(named) : named;
  if (!(await isFolder(path))) return showPlan(path, options);
  const { documents } = await loadReportSource(path);
  // what is asked of a run's tensors is asked of its plan
  if (options.diff !== undefined || options.explain !== undefined) return showPlan(runDirectory(path).plan, options);
  return showRun(path, documents);
}

async function showRun(path: string, { run, plan }: ReportDocuments): Promise<Result> {
  const taken = run && takenModel(run, path);
  const isThere = taken !== undefined && (await fileExists(taken.path));
  const text = (paint: Paint, width: number) => {
    const blocks = [
      ...(plan === undefined
        ? []
        : [renderPlanTable(plan, width, isThere), renderMapText(mapTensors(plan), { paint, width })]),
      ...(run === undefined
        ? []
        : [
            renderFamily(run, width).join("\n").trimStart(),
            renderParetoText(run, { paint, width }) ?? "",
            verdictText(run.verdict, width),
            fitLines(stoppedInWords(run) ?? "", width),
            plan === undefined || !isThere ? "" : takenLines(run, plan, path).join("\n"),
          ]),
    ];
    return blocks
      .filter((block) => block !== "")
      .map((block) => block.trimEnd())
      .join("\n\n");
  };
  return { document: run, text, next: nextCommand("prism", "report", path, "--card") };
}

function verdictText(verdict: string | undefined, width: number): string {
  return fitLines(verdict === undefined ? "no verdict yet" : printable(verdict), width);
}

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (found) => found.isDirectory(),
    () => false,
  );
}

async function showPlan(path: string, { diff, explain }: ShowOptions): Promise<Result> {
  const plan = await loadPlanOrRecipe(path);
  if (plan.schema !== "prism.plan/1") return showRecipe(path, plan, diff ?? explain);
  if (diff !== undefined) {
    const difference = diffPlans(plan, await loadPlan(diff));
    const text: Result["text"] = (_, width) => renderDiffTable(difference, { width });
    return { document: difference, text, next: nextCommand("prism", "quantize", diff) };
  }
  if (explain !== undefined) {
    const explanation = explainTensor(plan, explain);
    const text: Result["text"] = (_, width) => renderExplanation(explanation, width);
    return { document: explanation, text, next: nextCommand("prism", "show", path) };
  }
  const found = await fileOfPlan(path);
  const made = found === undefined ? "" : `\n\n${madeLines(found.made, plan).join("\n")}`;
  return {
    document: plan,
    text: (paint, width) =>
      `${renderPlanTable(plan, width, found !== undefined)}\n${renderMapText(mapTensors(plan), { paint, width })}\n${explainHint(plan, path)}${made}`,
    next: found === undefined ? nextCommand("prism", "quantize", path) : nextCommand("prism", "show", found.run),
  };
}

function showRecipe(path: string, recipe: PublishedRecipe, option: string | undefined): Result {
  const next = nextCommand("prism", "plan", "MODEL.gguf", "--template", path);
  if (option !== undefined) {
    throw new UsageError(`${path} is a published recipe, and --diff and --explain need a plan; make one with ${next}`);
  }
  return { document: recipe, text: (_, width) => renderRecipeTable(recipe, width), next };
}

/** How to ask about the tensor with the largest share of the loss. */
function explainHint({ tensors }: Plan, path: string): string {
  const [largest] = [...tensors].sort((a, b) => (b.lossShare ?? 0) - (a.lossShare ?? 0));
  if (largest?.lossShare === undefined) return "";
  return `\nwhy a type: ${nextCommand("prism", "show", path, "--explain", largest.name)}`;
}
