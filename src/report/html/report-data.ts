/**
 * What a page of a report holds, as data in the page itself: the documents it was made of, less what it never shows
 * (values per chunk of a run, everything of an analysis but one number per metric).
 */

import type { Analysis } from "../../analyze/analysis.ts";
import type { Plan } from "../../plan/plan.ts";
import { present } from "../../present.ts";
import type { Ranking } from "../../rerank/ranking-document.ts";
import type { Run } from "../../run/run-document.ts";
import { PRISM_VERSION } from "../../version.ts";
import { type MapTensor, mapTensors, metricsByName, type TensorMetrics } from "../charts/model-map.ts";

export interface ReportDocuments {
  readonly run?: Run;
  readonly plan?: Plan;
  readonly analysis?: Analysis;
  /** Scores of documents, of a run that ranked. */
  readonly ranking?: Ranking;
}

/** Where a page that prism review serves may save its plan. */
export interface ReviewedFile {
  readonly file: string;
  /** What the file held when the page was made, as an entity tag: it is replaced only while it holds that. */
  readonly version: string;
}

export interface ReportData {
  readonly prismVersion: string;
  readonly run?: Run;
  readonly plan?: Plan;
  readonly analysis?: Pick<Analysis, "createdAt" | "engine" | "backend" | "sampling">;
  /** By tensor name; a list, as a name may be anything. */
  readonly metrics: readonly (readonly [name: string, metrics: TensorMetrics])[];
  /** The tensors of an analysis without a plan. */
  readonly tensors?: readonly MapTensor[];
  /** Served by prism review: the plan can be saved to this file. */
  readonly review?: ReviewedFile;
}

/** Significant digits of a metric: more than any picture shows. */
const METRIC_DIGITS = 5;

/** Gather what a page needs. At least one document is there. */
export function reportData({ run, plan, analysis }: ReportDocuments, review?: ReportData["review"]): ReportData {
  return {
    prismVersion: PRISM_VERSION,
    ...(run === undefined ? {} : { run: withoutChunks(run) }),
    ...present({ plan }),
    ...(analysis === undefined ? {} : { analysis: describeAnalysis(analysis) }),
    metrics: plan === undefined ? [] : [...metricsByName(analysis)].map(([name, metrics]) => [name, short(metrics)]),
    ...(plan === undefined && analysis !== undefined ? { tensors: mapTensors(undefined, analysis) } : {}),
    ...present({ review }),
  };
}

function withoutChunks({ refinement, sweep, ...run }: Run): Run {
  const rows = run.rows.map(withoutKldPerChunk);
  const points = sweep?.points.map(({ feedback, ...point }) => ({
    ...withoutKldPerChunk(point),
    ...present({ feedback: feedback && withoutKldPerChunk(feedback) }),
  }));
  const probes = refinement?.probes.map(({ perChunk: _, ...probe }) => probe);
  return {
    ...run,
    rows,
    ...present({
      sweep: sweep && { ...sweep, points: points ?? [] },
      refinement: refinement && { ...refinement, probes: probes ?? [] },
    }),
  };
}

function withoutKldPerChunk<Row extends { readonly kldPerChunk?: readonly number[] }>({
  kldPerChunk: _,
  ...row
}: Row): Omit<Row, "kldPerChunk"> {
  return row;
}

function describeAnalysis({ createdAt, engine, backend, sampling }: Analysis): NonNullable<ReportData["analysis"]> {
  return { createdAt, engine, backend, sampling };
}

function short(metrics: TensorMetrics): TensorMetrics {
  const entries = Object.entries(metrics).map(([key, value]) => [key, Number(value.toPrecision(METRIC_DIGITS))]);
  return Object.fromEntries(entries);
}
