/**
 * The documents that go with published files, so that others can make them again and check them: what a run knows, without
 * what is of its maker's machine alone (folders, names of processors).
 */
import { baseName } from "../base-name.ts";
import type { Plan } from "../plan/plan.ts";
import { predict } from "../plan/predict.ts";
import { serializePlan } from "../plan/serialize-plan.ts";
import { withoutFolders } from "../report/card/card-model.ts";
import type { Run } from "../run/run-document.ts";
import type { DensityDocument } from "../sensitivity/density-document.ts";
import { foldersOf, mapTexts, withoutFoldersIn } from "./without-folders.ts";

/** A plan as plan.json; see sharedPlan. */
export function publishedPlan(plan: Plan, imatrix?: string): string {
  return serializePlan(sharedPlan(plan, imatrix));
}

/**
 * A plan to be handed on; `imatrix` is the name that its importance matrix is published under. Where the path of the matrix
 * would tell of folders, the plan is of a file whose header has that name in its place, and as long as that makes it.
 */
export function sharedPlan(plan: Plan, imatrix?: string): Plan {
  const folders = foldersOf([...plan.source.shards, ...(plan.imatrix === undefined ? [] : [plan.imatrix.path])]);
  const { imatrix: bare, ...clean } = withoutFolders(plan);
  const { imatrix: own } = plan;
  const named =
    own === undefined || bare === undefined
      ? {}
      : { imatrix: { ...bare, path: imatrix ?? bare.path, ...(tellsFolders(own.file) ? {} : { file: own.file }) } };
  const warnings = plan.warnings.map((text) => withoutFoldersIn(text, folders));
  const published = { ...clean, ...named, warnings };
  const { predicted } = predict(published, plan.tensors, plan.predicted.lowerBound);
  return { ...published, predicted: { ...plan.predicted, fileBytes: predicted.fileBytes } };
}

/** Whether a path begins at the root of a system. */
export function tellsFolders(path: string): boolean {
  return /^([A-Za-z]:)?[\\/].*[\\/]/.test(path);
}

/**
 * What a run measured, as evaluation.json: its state without what it kept to go on from, and without the figures of every
 * chunk. It is a run document: in a folder as state.json it can be shown and reported.
 */
export function publishedRun(run: Run): string {
  return `${JSON.stringify(sharedRun(run), null, 1)}\n`;
}

/** The same as a document. */
export function sharedRun(run: Run): Run {
  const {
    kept: _kept,
    outputs: _outputs,
    seal: _seal,
    split: _split,
    asked,
    text,
    refinement,
    rows,
    sweep,
    ...rest
  } = run;
  const { devices: _devices, ...question } = asked;
  const folders = foldersOf([asked.model, ...(text?.path === undefined ? [] : [text.path])]);
  const summary: Run = {
    ...rest,
    asked: { ...question, model: baseName(asked.model) },
    ...(text && { text: text.path === undefined ? text : { ...text, path: baseName(text.path) } }),
    ...(refinement && { refinement: summaryOf(refinement) }),
    rows: rows.map(withoutChunks),
    ...(sweep && {
      sweep: {
        ...sweep,
        points: sweep.points.map(({ feedback, ...point }) => ({
          ...withoutChunks(point),
          ...(feedback && { feedback: withoutChunks(feedback) }),
        })),
      },
    }),
  };
  return mapTexts(summary, (value) => withoutFoldersIn(value, folders));
}

function withoutChunks<Row extends { readonly kldPerChunk?: readonly number[] }>({
  kldPerChunk: _,
  ...row
}: Row): Omit<Row, "kldPerChunk"> {
  return row;
}

/** Without the chunks of each probe, which are in probes.json. */
function summaryOf({ devices: _, ...refinement }: NonNullable<Run["refinement"]>): NonNullable<Run["refinement"]> {
  return { ...refinement, probes: refinement.probes.map(({ perChunk: _, ...probe }) => probe) };
}

/** Densities as probes.json, for `--sensitivity` elsewhere. */
export function publishedDensities({ devices: _, ...densities }: DensityDocument): string {
  return `${JSON.stringify(densities, null, 1)}\n`;
}

/** SHA256SUMS as `sha256sum -c` reads it. */
export function checksums(files: readonly { readonly publishAs: string; readonly sha256: string }[]): string {
  return files.map(({ publishAs, sha256 }) => `${sha256}  ${publishAs}\n`).join("");
}
