/** What a gate may ask of a file, and how its limit is written. */
import { parseSize } from "../allocate/budget.ts";
import type { Measures } from "./measures.ts";
import type { RunRow } from "./run-document.ts";

/** The figures of a file: of a row, or of a model that was evaluated. */
export type GatedFigures = Pick<
  RunRow,
  "fileBytes" | "bpw" | "ppl" | "lnPplRatio" | "kld" | "sameTop" | "speed" | "rerank" | "embedding"
>;

/** What is measured: by what files are judged, and whether they are timed. */
export interface Measured extends Omit<Measures, "warnings"> {
  readonly speed: boolean;
}

export interface GateMeasure {
  readonly of: (file: GatedFigures) => number | undefined;
  /** What is scored for it; absent: nothing, every file has it. One of several is enough. */
  readonly needs?: readonly (keyof Measured)[];
  /** It is a distance from a reference. */
  readonly compared?: true;
  readonly unit?: "bytes" | "percent";
}

const TEXT = { needs: ["text"] } as const;
const COMPARED = { needs: ["text"], compared: true } as const;
const RANKED = { needs: ["rerank"], compared: true } as const;
const EMBEDDED = { needs: ["embeddings"], compared: true } as const;
const TIMED = { needs: ["speed"] } as const;
const FILE_SIZE = { of: ({ fileBytes }: GatedFigures) => fileBytes, unit: "bytes" } as const;

const MEASURES = {
  kld: { of: ({ kld }) => kld?.mean, ...COMPARED },
  kldMedian: { of: ({ kld }) => kld?.median, ...COMPARED },
  kldP99: { of: ({ kld }) => kld?.p99, ...COMPARED },
  kldMax: { of: ({ kld }) => kld?.max, ...COMPARED },
  ppl: { of: ({ ppl }) => ppl?.value, ...TEXT },
  pplRatio: { of: ({ lnPplRatio }) => lnPplRatio && Math.exp(lnPplRatio.value), ...COMPARED },
  lnPplRatio: { of: ({ lnPplRatio }) => lnPplRatio?.value, ...COMPARED },
  sameTop: { of: ({ sameTop }) => sameTop, ...COMPARED, unit: "percent" },
  tps: { of: ({ speed }) => speed?.generation.value, ...TIMED },
  promptTps: { of: ({ speed }) => speed?.prompt.value, ...TIMED },
  rerankDelta: { of: ({ rerank }) => rerank?.meanAbsDelta.value, ...RANKED },
  kendallTau: { of: ({ rerank }) => rerank?.kendallTau?.value, ...RANKED },
  top1Agreement: {
    of: ({ rerank, embedding }) => rerank?.top1Agreement ?? embedding?.top1Agreement,
    needs: ["rerank", "embeddings"],
    compared: true,
    unit: "percent",
  },
  drift: { of: ({ embedding }) => embedding?.drift.value, ...EMBEDDED },
  worstDrift: { of: ({ embedding }) => embedding?.worstDrift, ...EMBEDDED },
  overlap10: { of: ({ embedding }) => embedding?.overlap10, ...EMBEDDED, unit: "percent" },
  size: FILE_SIZE,
  fileBytes: FILE_SIZE,
  bpw: { of: ({ bpw }) => bpw },
} as const satisfies Readonly<Record<string, GateMeasure>>;

export type MeasureName = keyof typeof MEASURES;

export const MEASURE_NAMES = Object.keys(MEASURES) as readonly MeasureName[];

export function measureOf(name: MeasureName): GateMeasure {
  return MEASURES[name];
}

/** The measure of this name, in capitals or not. */
export function findMeasure(name: string): MeasureName | undefined {
  return MEASURE_NAMES.find((known) => known.toLowerCase() === name.toLowerCase());
}

/**
 * The limit as a number of the measure's own unit: sizes have B, MB, GB or GiB behind them, parts of a hundred may have %.
 * A message says what is wrong with it. Throws UsageError for a size that is none.
 */
export function parseLimit(measure: MeasureName, text: string): number | { readonly problem: string } {
  const { unit } = measureOf(measure);
  if (unit === "bytes" && /[a-z]/i.test(text) && !/e[+-]?\d/i.test(text)) return parseSize(text);
  const isPercent = text.endsWith("%");
  if (isPercent && unit !== "percent") return { problem: `${measure} is no part of a hundred` };
  const digits = isPercent ? text.slice(0, -1).trim() : text;
  const limit = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(digits) ? Number(digits) : Number.NaN;
  if (!Number.isFinite(limit)) return { problem: `a number has to stand behind ${measure}` };
  // 0.95 would be met by every file
  if (unit === "percent" && !isPercent && limit > 0 && limit < 1) {
    return { problem: `${measure} is in percent: ${100 * limit}%, not ${text}` };
  }
  return limit;
}
