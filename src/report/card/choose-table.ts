/** "Which one to choose": the files of a card, what each takes and how true it is to its source. */
import { formatSize } from "../../numbers.ts";
import { againstPreset } from "../../run/family-verdict.ts";
import { changeFrom } from "../../run/row-distance.ts";
import type { RunRow } from "../../run/run-document.ts";
import { verdictWithChange } from "../family-choices.ts";
import { runColumns, shownOf } from "../run-columns.ts";
import { type CardGroup, sizeName } from "./card-groups.ts";
import { type CardModel, publishedRow } from "./card-model.ts";
import { code, type MarkdownColumn, markdownTable, text } from "./markdown.ts";

/** Render the table: a line a file. */
export function renderChoose(groups: readonly CardGroup[]): string {
  const lines = groups.flatMap((group) => group.models.map((model, index) => ({ group, model, index })));
  const rows = lines.map(({ model }) => publishedRow(model.run));
  const shown = shownOf(rows.flatMap((row) => row ?? []));
  const measured = runColumns("card", shown).filter(
    ({ group, headers, isText, text: cell }) =>
      group !== "row" && headers.card !== "PPL" && !isText && rows.some((row) => row && cell(row, "card", shown)),
  );
  const contexts = [...new Set(lines.flatMap(({ model }) => model.memory?.map(({ context }) => context) ?? []))];
  const named = groups.length > 1;
  const heads: MarkdownColumn[] = [
    ...(named ? [{ header: "Model" }] : []),
    { header: "File" },
    { header: "Size", right: true },
    ...contexts.sort((a, b) => a - b).map((context) => ({ header: `GPU memory at ${context / 1024}k`, right: true })),
    ...measured.map(({ headers }) => ({ header: text(headers.card ?? ""), right: true })),
    { header: "Against the nearest preset" },
  ];
  const cells = lines.map(({ group, model, index }) => {
    const row = publishedRow(model.run);
    const file = model.files.find(({ kind }) => kind === "model");
    return [
      ...(named ? [index === 0 ? `**${text(group.name)}**` : ""] : []),
      file === undefined ? text(sizeName(model)) : code(file.publishAs),
      formatSize(row?.fileBytes ?? model.plan.predicted.fileBytes),
      ...contexts.map((context) => memoryAt(model, context)),
      ...measured.map(({ text: cell }) => text((row && cell(row, "card", shown)) || "–")),
      text(row === undefined ? "–" : judged(row, model)),
    ];
  });
  const notes = contexts.length === 0 ? [] : [MEMORY_NOTE];
  return [markdownTable(heads, cells), ...notes].join("\n\n");
}

const MEMORY_NOTE =
  "GPU memory is what llama.cpp needs with all layers on one GPU and a cache of F16, computed from the file's header with half a GiB to spare.";

function memoryAt({ memory = [] }: CardModel, context: number): string {
  const need = memory.find((one) => one.context === context);
  return need === undefined ? "–" : `${(need.totalBytes / 2 ** 30).toFixed(1)} GiB`;
}

/** The file against the preset nearest to it in size, over the same chunks. */
function judged(row: RunRow, { run }: CardModel): string {
  const distance = ({ fileBytes }: RunRow) => Math.abs(Math.log(fileBytes / row.fileBytes));
  const [preset] = run.rows.filter(({ kind }) => kind === "preset").sort((a, b) => distance(a) - distance(b));
  if (preset === undefined) return "–";
  const { verdict } = againstPreset(row, preset, run.text?.chunks ?? 0);
  return verdictWithChange({ verdict, change: row.kld === undefined ? undefined : changeFrom(preset, row) });
}
