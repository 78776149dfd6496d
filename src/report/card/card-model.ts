/** A run as its card needs it: nothing in it that is of its maker's machine alone. */

import { baseName } from "../../base-name.ts";
import { localName } from "../../bytes/remote-name.ts";
import type { ModelEvaluation } from "../../evaluate/evaluation.ts";
import type { Plan } from "../../plan/plan.ts";
import { type PublishedName, plannedName } from "../../plan/published-name.ts";
import type { OutputFile } from "../../quantize/outputs.ts";
import { distanceOf } from "../../run/row-distance.ts";
import type { Run, RunRow } from "../../run/run-document.ts";
import { modelName } from "../html/heading.ts";
import type { HubMetadata } from "./hub-metadata.ts";

/** A file as it is uploaded. */
export interface CardFile extends OutputFile {
  /** Path in the repository of the card. */
  readonly publishAs: string;
  readonly kind: "model" | "projector" | "imatrix" | "plan" | "recipe" | "probes" | "evaluation";
  /** What `-hf repo:TAG` finds a model by. */
  readonly tag?: string;
}

export interface CardModel {
  readonly run: Run;
  readonly plan: Plan;
  readonly files: readonly CardFile[];
  /** Absent where neither the planned file nor the source is here. */
  readonly metadata?: HubMetadata;
  /** What evaluated; absent in runs that kept no evaluation. */
  readonly engine?: { readonly version: string; readonly devices: readonly string[] };
  /** What the published file takes of a GPU's memory at contexts that the model was trained on; absent where nobody can tell. */
  readonly memory?: readonly { readonly context: number; readonly totalBytes: number }[];
  /** Of the plan's own evaluation. */
  readonly elapsedMs?: ModelEvaluation["elapsedMs"];
}

/** A model's name as a heading. */
export function cardName({ run, plan }: Pick<CardModel, "run" | "plan">): string {
  return modelName({ run, plan });
}

/** The name of the file that is published, in a repository where other files have these tags. */
export function cardFileName({ run, plan }: Pick<CardModel, "run" | "plan">, taken?: Iterable<string>): PublishedName {
  const row = publishedRow(run);
  const kind = row?.kind === "feedback" ? "feedback" : "plan";
  return plannedName(plan, { kind, bpw: row?.bpw, fileBytes: row?.fileBytes, taken });
}

/** A plan without the folders of the machine it was made on; its bytes may be predicted with them. */
export function withoutFolders(plan: Plan): Plan {
  const { source, imatrix } = plan;
  return {
    ...plan,
    source: { ...source, path: publicPath(source.path), shards: source.shards.map(publicPath) },
    ...(imatrix === undefined
      ? {}
      : { imatrix: { ...imatrix, path: baseName(imatrix.path), file: baseName(imatrix.file) } }),
  };
}

/** The same with its importance matrix by the name that it is published under: commands find it so. */
export function planOfCard({ plan, files }: Pick<CardModel, "plan" | "files">): Plan {
  const shared = withoutFolders(plan);
  const published = files.find(({ kind }) => kind === "imatrix");
  if (shared.imatrix === undefined || published === undefined) return shared;
  return { ...shared, imatrix: { ...shared.imatrix, path: published.publishAs, file: published.publishAs } };
}

/** Names on the network stay whole; of others the file's name does. */
function publicPath(path: string): string {
  return localName(path) === path ? baseName(path) : path;
}

/** The row of the file that is published: the plan's, with other codes where they are there and no worse. */
export function publishedRow(run: Pick<Run, "rows">): RunRow | undefined {
  const plan = planRow(run);
  const coded = run.rows.find(({ kind }) => kind === "feedback");
  const [planned, chosen] = [plan && distanceOf(plan), coded && distanceOf(coded)];
  return planned !== undefined && chosen !== undefined && chosen <= planned ? coded : plan;
}

/** The row of the plan; undefined where it was not measured yet. */
export function planRow({ rows }: Pick<Run, "rows">): RunRow | undefined {
  return rows.find(({ kind }) => kind === "plan");
}
