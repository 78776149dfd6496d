/** Findings that need the weights themselves: NaN and infinities, matrices of zeros, weights on a coarse lattice. */

import { formatCount } from "../bytes/source.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import type { ModelFile, TensorInfo } from "../gguf/model.ts";
import { decodeRows } from "../kernels/decode.ts";
import { present } from "../present.ts";
import type { Finding } from "./finding-codes.ts";
import { findLattice, type Lattice } from "./weight-lattice.ts";
import { type FloatTensor, readWeights, type SampleOptions } from "./weight-sample.ts";

/** Weights of a tensor that are looked at for a lattice. */
const LATTICE_WEIGHTS = 1 << 16;
/** Names in a message; more are counted. */
const NAMED_TENSORS = 4;

interface Seen {
  readonly tensor: TensorInfo;
  readonly weights: number;
  readonly nonFinite: number;
  readonly nonzero: number;
  readonly lattice?: Lattice;
}

/**
 * Read a sample of the weights, or all of them, and say what is wrong with them. Weights in quantized types are not
 * looked at. Throws FormatError where the file can't be read.
 */
export async function weightFindings(file: ModelFile, options: SampleOptions): Promise<Finding[]> {
  const seen = new Map<string, Seen>();
  await readWeights(file, options, (tensor, data) => {
    seen.set(tensor.name, look(tensor, data, seen.get(tensor.name)));
  });
  const all = [...seen.values()];
  return [...nonFiniteFindings(all), ...zeroFindings(all), ...latticeFindings(all)];
}

function look(tensor: FloatTensor, data: Uint8Array, before: Seen | undefined): Seen {
  const values = decodeRows(tensor.type, data);
  let nonFinite = 0;
  let nonzero = 0;
  for (const value of values) {
    if (!Number.isFinite(value)) nonFinite++;
    if (value !== 0) nonzero++;
  }
  const row = tensor.shape[0] ?? 1;
  const rows = Math.floor(LATTICE_WEIGHTS / row) * row;
  const isWeight = ineligibleReason(tensor) === undefined;
  const lattice =
    before?.lattice ?? (isWeight && nonFinite === 0 ? findLattice(values.subarray(0, rows), row) : undefined);
  return {
    tensor,
    weights: values.length + (before?.weights ?? 0),
    nonFinite: nonFinite + (before?.nonFinite ?? 0),
    nonzero: nonzero + (before?.nonzero ?? 0),
    ...present({ lattice }),
  };
}

function nonFiniteFindings(all: readonly Seen[]): Finding[] {
  const damaged = all.filter(({ nonFinite }) => nonFinite > 0);
  if (damaged.length === 0) return [];
  const names = named(damaged, ({ tensor, nonFinite, weights }) => `${tensor.name} (${part(nonFinite, weights)})`);
  return [
    {
      code: "weights-not-finite",
      severity: "error",
      message: `NaN or infinite weights in ${names}: one spoils every output`,
      remedy: "convert or download the model again; weights beyond 65504 need bf16 or f32 instead of f16",
    },
  ];
}

function zeroFindings(all: readonly Seen[]): Finding[] {
  const zero = all.filter(({ tensor, nonzero }) => nonzero === 0 && ineligibleReason(tensor) === undefined);
  if (zero.length === 0) return [];
  const names = named(zero, ({ tensor, weights }) => `${tensor.name} (all ${formatCount(weights)} weights read)`);
  return [
    {
      code: "weights-all-zero",
      severity: "warning",
      message: `nothing but zeros in ${names}`,
      remedy: "a part of the conversion or of the download is missing; convert or download the model again",
    },
  ];
}

function latticeFindings(all: readonly Seen[]): Finding[] {
  const weights = all.filter(({ tensor }) => ineligibleReason(tensor) === undefined);
  const found = weights.filter(({ lattice }) => lattice !== undefined);
  if (found.length === 0) return [];
  const evidence = named(found, ({ tensor, lattice }) => `${tensor.name}: ${describe(lattice)}`);
  return [
    {
      code: "weights-on-lattice",
      severity: "warning",
      message: `${found.length} of ${weights.length} weight matrices lie on a coarse lattice (${evidence}): they were quantized before, or trained for it`,
      remedy:
        "start from the weights as they were trained where they exist; errors are measured against what is in this file",
    },
  ];
}

function describe(lattice: Lattice | undefined): string {
  if (lattice === undefined) return "";
  const { kind, measured } = lattice;
  return kind === "levels"
    ? `${Math.round(100 * measured)} % distinct magnitudes among 128 neighbours, trained weights have over 85 %`
    : `${measured.toFixed(3)} steps of 8 bits from whole ones, trained weights 0.25`;
}

function part(count: number, of: number): string {
  return `${formatCount(count)} of the ${formatCount(of)} read`;
}

function named(all: readonly Seen[], name: (seen: Seen) => string): string {
  const shown = all.slice(0, NAMED_TENSORS).map(name).join(", ");
  return all.length > NAMED_TENSORS ? `${shown} and ${all.length - NAMED_TENSORS} more` : shown;
}
