/** Probes replayed from a table of measured ones (research/probe-table.ts): the design under test decodes nothing. */
import { readFile } from "node:fs/promises";
import type { Analysis } from "../src/analyze/analysis.ts";
import type { LoadedModel } from "../src/engine/engine.ts";
import { present } from "../src/present.ts";
import { probeGroups } from "../src/probes/probe-design.ts";
import type { ProbeSite, ProbeTypes } from "../src/probes/probe-site.ts";
import type { ProbeStore } from "../src/probes/probe-store.ts";
import { fromDensity, type Sensitivity } from "../src/sensitivity/sensitivity.ts";
import { parseSensitivity } from "../src/sensitivity/sensitivity-modes.ts";

export interface Row {
  readonly tensors: readonly string[];
  readonly perChunk: readonly number[];
  /** elements·D of each. */
  readonly weights: readonly number[];
}

export async function readTable(path: string): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  for (const line of (await readFile(path, "utf8")).split("\n").filter(Boolean)) {
    const { key, kld, weights } = JSON.parse(line) as { key: string; kld: number[]; weights: number[] };
    const before = rows.get(key);
    const tensors = key.split(" ").slice(1);
    rows.set(key, { tensors, weights, perChunk: [...(before?.perChunk ?? []), ...kld] });
  }
  return rows;
}

/** A site that has measured everything. */
export function replaySite(rows: ReadonlyMap<string, Row>, chunks: number): ProbeSite {
  const tokens = { context: 2, chunks, ids: new Int32Array() };
  return {
    kind: "in-place",
    unit: "nats",
    costs: { first: 1, each: 0.05, whole: 3.3 },
    text: { probes: tokens, trial: tokens, source: "file" },
    refer: async () => ({
      isKept: true,
      measure: async (model, { first, count }) =>
        (await model.score({ tokens, first, count })).kld ?? new Float64Array(),
    }),
    degrade: (types: ProbeTypes, score) => {
      const key = `Q3_K ${[...types.keys()].join(" ")}`;
      const row = rows.get(key);
      if (row === undefined) throw new Error(`the table lacks ${key}`);
      const scoreRow: LoadedModel["score"] = async ({ first, count }) => {
        const kld = Float64Array.from(row.perChunk.slice(first, first + count));
        return { nll: kld, kld };
      };
      return score({ chunksPerBatch: 1, score: scoreRow } as LoadedModel);
    },
  };
}

export function emptyStore(): ProbeStore {
  const kept = new Map<string, Parameters<ProbeStore["add"]>[0]>();
  return {
    find: (tensors, type) => kept.get(`${type} ${tensors.join(" ")}`),
    add: async (one) => void kept.set(`${one.type} ${one.tensors.join(" ")}`, one),
  };
}

/** The table with groups that were not measured: the sum of their tensors, on the chunks that all of these have. */
export function withSums(analysis: Analysis, rows: ReadonlyMap<string, Row>): Map<string, Row> {
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const described = eligible.map(({ name, class: own, layer, elements }) => ({
    name,
    class: own,
    ...present({ layer, depth: layer }),
    elements,
    logPrior: 0,
  }));
  const chunks = commonChunks(rows);
  const all = new Map([...rows].map(([key, row]) => [key, { ...row, perChunk: row.perChunk.slice(0, chunks) }]));
  for (const { tensors } of probeGroups(described)) {
    const names = tensors.map((index) => eligible[index]?.name ?? "");
    const members = names.flatMap((name) => rows.get(`Q3_K ${name}`) ?? []);
    const key = `Q3_K ${names.join(" ")}`;
    if (all.has(key) || members.length < names.length) continue;
    all.set(key, {
      tensors: names,
      weights: members.flatMap(({ weights }) => weights),
      perChunk: Array.from({ length: chunks }, (_, c) => members.reduce((sum, row) => sum + (row.perChunk[c] ?? 0), 0)),
    });
  }
  return all;
}

/** Chunks that every row has. */
export function commonChunks(rows: ReadonlyMap<string, Row>): number {
  return Math.min(...[...rows.values()].map(({ perChunk }) => perChunk.length));
}

/** Nats: what is left of a tensor that shows nothing. */
const LEAST_KLD = 1e-9;

/** What every tensor alone, on all chunks, says. */
export function exhaustive(analysis: Analysis, rows: ReadonlyMap<string, Row>): Sensitivity {
  const densities = new Map(
    [...rows.values()]
      .filter(({ tensors }) => tensors.length === 1)
      .map(({ tensors, perChunk, weights }) => {
        const kld = perChunk.reduce((sum, value) => sum + value, 0) / perChunk.length;
        return [tensors[0] as string, Math.max(kld, LEAST_KLD) / (weights[0] as number)];
      }),
  );
  return {
    ...parseSensitivity("auto")(analysis),
    mode: "probes",
    headKnown: true,
    values: fromDensity(analysis, ({ name }) => densities.get(name) ?? LEAST_KLD),
  };
}
