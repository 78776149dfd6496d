/**
 * Runs → README.md of a model page: a head for the Hub, what was measured against what, the files, how to use and how to
 * make them. Nothing is said that the runs did not measure; a lost or tied verdict stands as it is. Pure.
 */

import { parseShardName } from "../../gguf/shards.ts";
import { formatInteger, formatPercent, formatSize } from "../../numbers.ts";
import { defaultOutput } from "../../plan/quantize-arguments.ts";
import { renderRecipeSh } from "../../plan/recipe-sh.ts";
import type { RowKind } from "../../run/run-document.ts";
import { quoteWord } from "../../shell-quote.ts";
import { type CardGroup, groupModels, memberName, sizeName } from "./card-groups.ts";
import { type CardFile, type CardModel, planOfCard, publishedRow } from "./card-model.ts";
import { renderChoose } from "./choose-table.ts";
import { type CardOptions, frontMatter, renderFrontMatter } from "./front-matter.ts";
import { howMade, renderLimits } from "./how-made.ts";
import { code, codeBlock, markdownTable, text } from "./markdown.ts";
import { type RowsShown, renderResults, resultRows } from "./results-table.ts";
import { renderUsage } from "./usage.ts";

/** The picture that goes with a card, as files beside it. */
export interface CardPicture {
  readonly file: string;
  readonly title: string;
  readonly description: string;
}

/** Render the card of files, of one run or of a family's, of one model or of several, in the order given. */
export function renderCard(models: readonly CardModel[], picture?: CardPicture, options: CardOptions = {}): string {
  const groups = groupModels(models);
  const ordered = groups.flatMap((group) => group.models);
  const front =
    picture === undefined ? [] : [`![${text(picture.title)}](${picture.file})\n\n*${text(picture.description)}*`];
  const sections = [
    `# ${title(groups)}`,
    intro(groups),
    ...(models.length === 1 ? [oneResult(groups), ...front] : severalResults(groups, front)),
    filesSection(ordered),
    renderUsage(ordered, options.repository),
    recipeSection(groups),
    howMadeSection(groups),
    `## Limits\n\n${renderLimits(models)}`,
  ].filter((section) => section !== undefined);
  return `${renderFrontMatter(frontMatter(models, options))}\n${sections.join("\n\n")}\n`;
}

function oneResult(groups: readonly CardGroup[]): string {
  const verdicts = groups.flatMap(({ models }) => models.map((model) => verdict(model)));
  return ["## Results", ...verdicts, renderResults(groups, "all"), legend(groups, "all")].join("\n\n");
}

/** What a reader chooses by first, the controls folded away. */
function severalResults(groups: readonly CardGroup[], front: readonly string[]): string[] {
  const verdicts = groups.flatMap((group) => group.models.map((model) => verdict(model, memberName(model, group))));
  const hasInner = groups.some((group) => resultRows(group, "inner").some(({ row }) => row.kind !== "plan"));
  const inner = hasInner ? [renderResults(groups, "inner"), legend(groups, "inner")] : [];
  return [
    ["## Which one to choose", renderChoose(groups)].join("\n\n"),
    ...front,
    ["## Results", renderResults(groups, "outer"), legend(groups, "outer")].join("\n\n"),
    details("Verdicts in full, and the controls", [...verdicts, ...inner].join("\n\n")),
  ];
}

function title(groups: readonly CardGroup[]): string {
  const names = [...new Set(groups.map(({ name }) => name))];
  return `${text(names.join(", "))}: PRISM dynamic quantization (GGUF)`;
}

function intro(groups: readonly CardGroup[]): string {
  const [only] = groups;
  const files = groups.flatMap(({ models }) => models);
  const what =
    groups.length > 1 || only === undefined
      ? `Quantizations of ${groups.length} models`
      : files.length === 1
        ? `A quantization of ${text(only.name)}`
        : `${files.length} quantizations of ${text(only.name)}`;
  const sizes = files.map(({ run, plan }) => {
    const { fileBytes, bpw } = publishedRow(run) ?? plan.predicted;
    const share = formatPercent(fileBytes / Math.max(1, plan.source.fileBytes), 0);
    return `${formatSize(fileBytes)}, ${bpw.toFixed(2)} bits per weight, ${share} of the source`;
  });
  return `${what} in which every tensor has a type of its own, chosen for the least predicted loss within a budget of bytes. Stock llama.cpp makes such files and runs them.${sizes.length === 1 ? ` ${sizes[0]}.` : ""}`;
}

/** The verdict of the run in its own words, and its gates. */
function verdict({ run }: CardModel, name?: string): string {
  const whose = name === undefined ? "" : `**${text(name)}:** `;
  const gates = run.gates.map(({ gate, met }) => ` Required ${code(gate)}: ${met ? "met" : "missed"}.`).join("");
  if (run.verdict === undefined) return `${whose}No verdict: the run was not finished.${gates}`;
  return `${whose}${text(`${run.verdict.slice(0, 1).toUpperCase()}${run.verdict.slice(1)}`)}.${gates}`;
}

const KIND_LEGEND: readonly (readonly [kind: RowKind, meaning: string])[] = [
  ["plan", "PRISM is what this card is of"],
  ["feedback", "`PRISM, error feedback` has codes that PRISM chose, in types planned for them"],
  ["preset", "names of file types (Q3_K_M) are stock presets of llama-quantize"],
  ["plain", "those with `no imatrix` were made without the importance matrix that all others have"],
  ["published", "published recipes and types of other files were quantized here"],
  ["rival", "names of files are files that others made, measured as they are"],
  ["uniform", "`all TYPE` has one type for all tensors"],
  ["uniform-s", "`no sensitivity` is the same solver with all weights weighed alike"],
  ["unguarded", "`no head guard` may make the output head smaller than the preset of this size does"],
  ["shuffle", "a `shuffled plan` has the plan's bytes and solver with its sensitivity dealt out at random"],
];

/** What the rows of the table are, those that are there. */
function legend(groups: readonly CardGroup[], shown: RowsShown): string {
  const rows = groups.flatMap((group) => resultRows(group, shown));
  const meanings = KIND_LEGEND.filter(([kind]) => rows.some(({ row }) => row.kind === kind)).map(
    ([, meaning]) => meaning,
  );
  const swept = groups.some(({ models }) => models.some(({ run }) => run.sweep !== undefined));
  return `${[...meanings, ...(swept ? ["`plan BITS` are plans at other sizes, measured and not among the files"] : [])].join("; ")}.`;
}

function filesSection(models: readonly CardModel[]): string | undefined {
  const files = models.flatMap((model) => model.files);
  if (files.length === 0) return undefined;
  const rows = files
    .filter(isLarge)
    .map(({ publishAs, fileBytes, sha256 }) => [
      code(publishAs),
      `${formatSize(fileBytes)} (${formatInteger(fileBytes)} bytes)`,
      code(sha256),
    ]);
  const table = markdownTable([{ header: "File" }, { header: "Size", right: true }, { header: "SHA-256" }], rows);
  const small = files.filter((file) => !isLarge(file)).map(describeSmall);
  const again = models.length === 1 ? small.join("\n") : details("To make them again", small.join("\n"));
  return ["## Files", table, ...(small.length === 0 ? [] : [again])].join("\n\n");
}

function isLarge({ kind }: CardFile): boolean {
  return kind === "model" || kind === "projector" || kind === "imatrix";
}

/** A small file, and what it is for. */
function describeSmall({ publishAs, kind }: CardFile): string {
  const name = quoteWord(publishAs);
  const purposes: Readonly<Record<string, string>> = {
    plan: `the type of every tensor with its reason; ${code(`prism quantize ${name} --source MODEL`)} makes the file`,
    recipe: `the same for ${code(`llama-quantize --tensor-type-file ${name}`)}`,
    probes: `what probes of the model showed; ${code(`prism plan MODEL --sensitivity ${name}`)} plans other sizes by it, and its siblings`,
    evaluation: "the figures above in full",
  };
  return `- ${code(publishAs)}: ${purposes[kind] ?? ""}`;
}

function recipeSection(groups: readonly CardGroup[]): string {
  const models = groups.flatMap((group) => group.models.map((model) => ({ model, name: memberName(model, group) })));
  const recipes = models.map(({ model, name }) => {
    const script = renderRecipeSh(planOfCard(model), { output: recipeOutput(model) });
    const block = codeBlock(script, "sh");
    return models.length === 1 ? block : details(name, block);
  });
  const made = models.some(({ model }) => publishedRow(model.run)?.kind === "feedback")
    ? "Stock `llama-quantize` makes the row PRISM from the source; codes with error feedback are made by PRISM alone, from the plan-feedback.json of its run (`prism quantize plan-feedback.json --feedback`):"
    : `Stock ${code("llama-quantize")} makes ${models.length === 1 ? "it" : "each"} from the source:`;
  return ["## Recipe", made, ...recipes].join("\n\n");
}

/** The file that is published, where the recipe makes that one. */
function recipeOutput({ run, plan, files }: CardModel): string {
  const published = files.find(({ kind }) => kind === "model");
  const stock = publishedRow(run)?.kind !== "feedback";
  return stock && published !== undefined ? wholeName(published.publishAs) : defaultOutput(plan);
}

/** llama-quantize makes the whole file, whose parts are published. */
function wholeName(name: string): string {
  const part = parseShardName(name);
  return part === undefined ? name : `${part.prefix}.gguf`;
}

/** What all files of a model share once, and the rest by file. */
function howMadeSection(groups: readonly CardGroup[]): string {
  const facts = groups.map((group) => {
    const heading = groups.length === 1 ? [] : [`### ${text(group.name)}`];
    const [first, ...others] = group.models.map(howMade);
    const shared = first?.filter((fact) => others.every((facts) => facts.includes(fact))) ?? [];
    const own = group.models.flatMap((model) => {
      const left = howMade(model).filter((fact) => !shared.includes(fact));
      return left.length === 0 ? [] : [`**${text(sizeName(model))}**`, list(left)];
    });
    return [...heading, list(shared), ...own].filter((part) => part !== "").join("\n\n");
  });
  return ["## How it was made and measured", ...facts].join("\n\n");
}

function list(lines: readonly string[]): string {
  return lines.map((line) => `- ${line}`).join("\n");
}

function details(summary: string, content: string): string {
  return `<details>\n<summary>${text(summary)}</summary>\n\n${content}\n\n</details>`;
}
