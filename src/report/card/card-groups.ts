/** The files of a card by the model they are of: of a model that has several, what they share is said once. */
import type { RunRow } from "../../run/run-document.ts";
import { measuredRows } from "../charts/pareto.ts";
import { type CardModel, cardName, publishedRow } from "./card-model.ts";

export interface CardGroup {
  readonly name: string;
  readonly models: readonly CardModel[];
}

/** In the order in which the models come, smallest file first. */
export function groupModels(models: readonly CardModel[]): CardGroup[] {
  const groups = new Map<string, CardModel[]>();
  for (const model of models) {
    const key = modelKey(model);
    groups.set(key, [...(groups.get(key) ?? []), model]);
  }
  return [...groups.values()].map((members) => ({
    name: cardName(members[0] as CardModel),
    models: members.sort((a, b) => bytesOf(a) - bytesOf(b)),
  }));
}

/** The same of every file of a model: its weights and its name. */
export function modelKey({ run, plan }: Pick<CardModel, "run" | "plan">): string {
  return JSON.stringify([run.asked.fingerprint, cardName({ run, plan })]);
}

function bytesOf({ run, plan }: CardModel): number {
  return (publishedRow(run) ?? plan.predicted).fileBytes;
}

/** What tells the files of one model apart. */
export function sizeName({ run, plan }: Pick<CardModel, "run" | "plan">): string {
  return `${(publishedRow(run)?.bpw ?? plan.predicted.bpw).toFixed(2)}bpw`;
}

/** A file by its model, and by its size where the model has several. */
export function memberName(model: CardModel, group: CardGroup): string {
  return group.models.length === 1 ? group.name : `${group.name} ${sizeName(model)}`;
}

/** Controls that explain a plan; beside several files they stand apart. */
export const INNER_KINDS: readonly RunRow["kind"][] = ["plain", "shuffle", "uniform-s", "unguarded"];

export interface GroupRow {
  readonly row: RunRow;
  /** Whose run measured it first. */
  readonly model: CardModel;
}

/** The rows of all files of a model, each once: two runs on one text measure the same presets and the same source. */
export function groupRows({ models }: CardGroup): GroupRow[] {
  const rows = new Map<string, GroupRow>();
  for (const model of models) {
    for (const row of measuredRows(model.run)) {
      const key = row.kind === "reference" ? "" : keyOf(row, model);
      if (!rows.has(key)) rows.set(key, { row, model });
    }
  }
  return [...rows.values()];
}

function keyOf({ kind, label, fileBytes }: RunRow, { run: { text }, plan }: CardModel): string {
  const isOwn = kind === "plan" || kind === "feedback" || (INNER_KINDS.includes(kind) && kind !== "plain");
  // a shorter text that the model writes is the beginning of a longer one
  const judged = text?.source === "sampled" ? [text.seed, text.context] : [text?.sha256, text?.context];
  return JSON.stringify([kind, label, isOwn ? fileBytes : "", ...judged, plan.imatrix?.sha256]);
}

/** The rows of a model's files for one picture: plans are told apart by their bits. */
export function pictureRows(group: CardGroup): RunRow[] {
  return groupRows(group)
    .filter(({ row }) => !INNER_KINDS.includes(row.kind))
    .map(({ row }) => {
      if (row.kind === "plan") return { ...row, label: `PRISM ${row.bpw.toFixed(2)}bpw` };
      return row.kind === "feedback" ? { ...row, label: `PRISM-EF ${row.bpw.toFixed(2)}bpw` } : row;
    });
}
