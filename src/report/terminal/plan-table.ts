/** A plan as text: what was asked and is predicted, then one line per tensor class. */
import { openWork, type Work } from "../../allocate/compile-pattern.ts";
import { matchNames } from "../../allocate/patterns.ts";
import { tensorClass } from "../../ggml/tensor-class.ts";
import { formatAmount, formatInteger, formatPercent, formatSizeAs } from "../../numbers.ts";
import type { Plan, PlanTensor } from "../../plan/plan.ts";
import { printable } from "../../plan/printable.ts";
import { defaultOutput } from "../../plan/quantize-arguments.ts";
import { classTable } from "./class-table.ts";
import { memoryTable } from "./memory-table.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

/** Render a plan; with how its file will run, unless it is `made` and that is said elsewhere. Ends with a line break. */
export function renderPlanTable(plan: Plan, width = TERMINAL_WIDTH, made = false): string {
  const blocks = [
    planHeading(plan, width),
    classTable(
      plan.tensors.map((tensor) => ({ ...tensor, isPlanned: isPlanned(tensor) })),
      { loss: true, width },
    ),
  ];
  const memory = memoryTable(plan, made ? undefined : defaultOutput(plan));
  if (memory !== undefined) blocks.splice(1, 0, memory);
  if (plan.warnings.length > 0) {
    blocks.push(plan.warnings.map((warning) => fitLines(`! ${printable(warning)}`, width)).join("\n"));
  }
  return `${blocks.join("\n\n")}\n`;
}

function planHeading(plan: Plan, width: number): string {
  const { predicted, budget, sensitivity, source } = plan;
  const unit = plan.lossUnit === "relative" ? "(only to compare plans of this model)" : plan.lossUnit;
  const sizeOf = (bytes: number) => `${formatInteger(bytes)} bytes (${formatSizeAs(budget.text, bytes)})`;
  const rows = [
    ["model", printable(source.name ?? source.path)],
    ["budget", `${printable(budget.text)}: at most ${sizeOf(budget.fileBytes)}`],
    ["predicted", sizeOf(predicted.fileBytes)],
    ["", `${predicted.bpw.toFixed(4)} bits per weight, base ${plan.baseFileType}`],
    ["loss", `${isMeasured(plan) ? "" : "at least "}${formatAmount(predicted.loss)} ${unit}`],
    ["", `within ${formatPercent(predicted.gap, 3)} of the least possible`],
    ["planned", `mode ${plan.mode}, sensitivity ${printable(sensitivity.mode)} ${printable(sensitivity.version)}`],
    ...(plan.imatrix ? [["imatrix", printable(plan.imatrix.file)]] : []),
    ...(plan.feedback ? [["feedback", `counted with; text: ${printable(plan.feedback.text)}`]] : []),
    ...(plan.types ? [["types", `only ${plan.types.join(", ")}`]] : []),
    ...constraintRows(plan),
  ];
  return formatTable([{ header: "PLAN" }, { header: "" }], rows, width);
}

/** Whether the loss counts every tensor: a type chosen by hand may be one that was not measured. */
function isMeasured({ tensors }: Plan): boolean {
  return tensors.every((tensor) => !isPlanned(tensor) || tensor.distortion !== undefined);
}

/** A pattern may hold more tensors than it was meant to: say how many. */
function constraintRows({ constraints, tensors }: Plan): string[][] {
  const names = tensors.filter(isPlanned).map(({ name }) => name);
  const work = openWork();
  const asked = constraints.filter(({ builtIn }) => builtIn !== true);
  const rows = asked.map((constraint) => {
    const what = `${constraint.pattern}${constraint.type === undefined ? "" : `=${constraint.type}`}`;
    return [constraint.kind, `${printable(what)}: ${countTensors(matchNames(constraint, names, work))}`];
  });
  return [...rows, ...guardRows(constraints, names, work)];
}

/** What PRISM demands by itself, one line for a type: the floors of a guard are many. */
function guardRows(constraints: Plan["constraints"], names: readonly string[], work: Work): string[][] {
  const held = new Map<string, { kind: string; names: Set<string> }>();
  for (const constraint of constraints) {
    if (constraint.builtIn !== true || constraint.type === undefined) continue;
    const key = `${constraint.kind} ${constraint.type}`;
    const sofar = held.get(key)?.names ?? [];
    held.set(key, { kind: constraint.kind, names: new Set([...sofar, ...matchNames(constraint, names, work)]) });
  }
  return [...held].map(([key, { kind, names }]) => {
    const classes = [...new Set([...names].map((name) => tensorClass(name).class))].join(", ");
    return [kind, `${key.slice(kind.length + 1)}: ${countTensors(names)} of ${printable(classes)}, a guard`];
  });
}

function countTensors({ size }: ReadonlySet<string>): string {
  return size === 1 ? "1 tensor" : `${size} tensors`;
}

function isPlanned(tensor: PlanTensor): boolean {
  return tensor.reason !== "ineligible";
}
