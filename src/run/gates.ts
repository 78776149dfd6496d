/** Quality gates of `--require`: "kld<=0.05" on the plan's row; a missed one makes the run exit with 3. */
import { UsageError } from "../errors.ts";
import { present } from "../present.ts";
import type { GateResult, RunRow } from "./run-document.ts";

type Compare = (value: number, limit: number) => boolean;

const OPERATORS: Readonly<Record<string, Compare>> = {
  "<=": (value, limit) => value <= limit,
  ">=": (value, limit) => value >= limit,
  "<": (value, limit) => value < limit,
  ">": (value, limit) => value > limit,
};

const MEASURES: Readonly<Record<string, (row: RunRow) => number | undefined>> = {
  kld: (row) => row.kld?.mean,
  kldMedian: (row) => row.kld?.median,
  kldP99: (row) => row.kld?.p99,
  kldMax: (row) => row.kld?.max,
  ppl: (row) => row.ppl?.value,
  pplRatio: (row) => (row.lnPplRatio === undefined ? undefined : Math.exp(row.lnPplRatio.value)),
  lnPplRatio: (row) => row.lnPplRatio?.value,
  sameTop: (row) => row.sameTop,
  rerankDelta: (row) => row.rerank?.meanAbsDelta.value,
  kendallTau: (row) => row.rerank?.kendallTau?.value,
  top1Agreement: (row) => row.rerank?.top1Agreement ?? row.embedding?.top1Agreement,
  drift: (row) => row.embedding?.drift.value,
  worstDrift: (row) => row.embedding?.worstDrift,
  overlap10: (row) => row.embedding?.overlap10,
  fileBytes: (row) => row.fileBytes,
  bpw: (row) => row.bpw,
};

export interface Gate {
  readonly text: string;
  readonly measure: string;
  readonly operator: string;
  readonly limit: number;
}

/** Parse "kld<=0.05". Throws UsageError naming the measures there are. */
export function parseGate(text: string): Gate {
  const match = /^\s*(\w+)\s*(<=|>=|<|>)\s*(\S+)\s*$/.exec(text);
  const [, measure = "", operator = "", number = ""] = match ?? [];
  const limit = Number(number);
  if (match === null || !Object.hasOwn(MEASURES, measure) || !Number.isFinite(limit)) {
    throw new UsageError(
      `--require: expected a condition like "kld<=0.05" on one of ${Object.keys(MEASURES).join(", ")}, got "${text}"`,
    );
  }
  return { text: `${measure}${operator}${number}`, measure, operator, limit };
}

/** Hold the plan's row against the gates. A value that could not be measured misses its gate. */
export function checkGates(gates: readonly Gate[], row: RunRow): GateResult[] {
  return gates.map(({ text, measure, operator, limit }) => {
    const value = MEASURES[measure]?.(row);
    const met = value !== undefined && (OPERATORS[operator] as Compare)(value, limit);
    return { gate: text, ...present({ value }), met };
  });
}
