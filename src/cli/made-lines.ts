/** What a person does with a file that was made: where it is, how large, and the commands of llama.cpp that run it. */
import { givesHiddenStates } from "../ggml/model-facts.ts";
import { formatSize } from "../numbers.ts";
import type { Plan } from "../plan/plan.ts";
import { printable } from "../plan/printable.ts";
import { serverArguments } from "../plan/server-arguments.ts";
import { publishedRow } from "../report/card/card-model.ts";
import { betterControls } from "../run/better-controls.ts";
import type { Run } from "../run/run-document.ts";
import { pathArgument } from "../shell-quote.ts";
import { nextCommand } from "./next-command.ts";

export interface MadeModel {
  /** Of a model in parts the first. */
  readonly path: string;
  /** Of all parts. */
  readonly fileBytes: number;
  /** How many files; absent of one. */
  readonly parts?: number;
  /** The projector that lies beside it. */
  readonly projector?: string | undefined;
}

/** What the model was judged by, where it is a run's. */
export interface Judged {
  readonly ranked: boolean;
  readonly embedded: boolean;
}

/** "file: models/plan.gguf, 4.49 MB", "run it: llama-cli -m models/plan.gguf". */
export function madeLines(made: MadeModel, plan: Pick<Plan, "facts" | "budget">, judged?: Judged): string[] {
  const { path, fileBytes, parts = 1 } = made;
  const rest = parts === 1 ? "" : ` in ${parts} parts, of which this is the first`;
  return [`file: ${path}, ${formatSize(fileBytes)}${rest}`, ...runLines(made, plan, judged)];
}

function runLines({ path, projector }: MadeModel, { facts, budget }: Pick<Plan, "facts" | "budget">, judged?: Judged) {
  const file = pathArgument(path);
  const sight = projector === undefined ? [] : ["--mmproj", pathArgument(projector)];
  if (facts.rankPooling) {
    return [`serve it: ${nextCommand("llama-server", "-m", file, "--reranking")}`];
  }
  // llama-server would need the prompt, which PRISM applies
  if (judged?.ranked === true) return [`serve it: ${nextCommand("prism", "serve", file)}`];
  if (judged?.embedded === true || givesHiddenStates(facts)) {
    return [
      `run it: ${nextCommand("llama-embedding", "-m", file, "-p", "some text")}`,
      `serve it: ${nextCommand("llama-server", "-m", file, "--embedding")}`,
    ];
  }
  if (budget.memory !== undefined) {
    const words = serverArguments(budget.memory).map((word) => (word === "MMPROJ.gguf" ? (projector ?? word) : word));
    return [`run it: ${nextCommand("llama-server", "-m", file, ...words)}`];
  }
  return [
    `run it: ${nextCommand("llama-cli", "-m", file, ...sight)}`,
    `serve it: ${nextCommand("llama-server", "-m", file, ...sight)}`,
  ];
}

/** The same of a run's file, after what was measured to be better than it; none where the run left no file. */
export function takenLines(run: Run, plan: Pick<Plan, "facts" | "budget">, out: string): string[] {
  const made = takenModel(run, out);
  const row = publishedRow(run);
  if (made === undefined || row === undefined) return [];
  const judged = {
    ranked: run.rows.some(({ rerank }) => rerank !== undefined),
    embedded: run.rows.some(({ embedding }) => embedding !== undefined),
  };
  const better = betterControls(run, row).map((line) => `! ${printable(line)}`);
  return [...better, ...madeLines(made, plan, judged)];
}

/** The file of a finished run that is to be taken: the better one, where there is one of the plan's and one with feedback. */
export function takenModel({ rows, outputs = [] }: Pick<Run, "rows" | "outputs">, out: string): MadeModel | undefined {
  const slug = publishedRow({ rows })?.kind === "feedback" ? "plan-feedback" : "plan";
  const own = new RegExp(`^models[/\\\\]${slug}(?:-\\d{5}-of-\\d{5})?\\.gguf$`);
  const parts = outputs.filter(({ path }) => own.test(path));
  const [first] = parts;
  if (first === undefined) return undefined;
  const projector = outputs.find(({ path }) => /^models[/\\]mmproj[^/\\]*\.gguf$/i.test(path));
  return {
    path: `${out}/${first.path}`,
    fileBytes: parts.reduce((sum, { fileBytes }) => sum + fileBytes, 0),
    parts: parts.length,
    projector: projector && `${out}/${projector.path}`,
  };
}
