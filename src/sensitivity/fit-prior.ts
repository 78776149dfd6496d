/**
 * Fits the sensitivity prior. In: the density of each kind of tensor (class, embedding tied or not, first or last
 * layer) of each measured model. Out: what the classes, the ends of the network and a tensor's size say, and how each
 * architecture deviates.
 *
 * ln density = model + class + place of the role − γ · ln elements + residual: least squares in which each architecture
 * weighs the same, with a ridge on the classes and places, so that what only one architecture says is halved; a row with an error weighs less. The
 * deviation of an architecture is its mean residual, shrunk by n / (n + 1) for n models.
 */
import { Matrix, solve } from "ml-matrix";
import type { MeasuredKind, MeasuredModel } from "./measured-model.ts";
import type { PriorFit } from "./sensitivity-prior.ts";

/** One kind of tensor in one model. */
interface Row {
  /** Of which model, by index. */
  readonly model: number;
  readonly arch: string;
  readonly kind: MeasuredKind;
  /** Of its evidence: 1 where it was measured without error. */
  readonly weight: number;
}

/** In architectures: a class known from one architecture keeps half of its effect. */
const EFFECT_RIDGE = 1;
/** In architectures per squared log-size; hundreds of kinds say how density goes with size, so it hardly matters. */
const SIZE_RIDGE = 0.1;
/** In models. */
const DEVIATION_RIDGE = 1;
/** ln density of a kind differs so much between models for other reasons than errors of measurement. */
const KIND_SD = 0.7;

/** Fit to all models. Deterministic; their order does not matter beyond rounding. */
export function fitPrior(measured: readonly MeasuredModel[]): PriorFit {
  const rows = measured.flatMap(({ arch, kinds }, model) =>
    kinds.map((kind): Row => ({ model, arch, kind, weight: KIND_SD ** 2 / (KIND_SD ** 2 + (kind.error ?? 0) ** 2) })),
  );
  const distinct = (values: readonly (string | undefined)[]) =>
    [...new Set(values)].filter((value) => value !== undefined).sort();
  const classes = distinct(rows.map(({ kind }) => kind.class));
  const places = distinct(rows.map(({ kind }) => kind.place));
  const effects = 1 + classes.length + places.length;
  const mean = average(rows.map(({ kind }) => Math.log(kind.elements)));
  const features = ({ kind, model }: Row): [column: number, value: number][] => [
    [0, mean - Math.log(kind.elements)],
    [1 + classes.indexOf(kind.class), 1],
    ...(kind.place === undefined ? [] : [[1 + classes.length + places.indexOf(kind.place), 1] as [number, number]]),
    [effects + model, 1],
  ];
  const ridge = [SIZE_RIDGE, ...Array<number>(effects - 1).fill(EFFECT_RIDGE), ...measured.map(() => 0)];
  const weights = architectureWeights(rows);
  const found = leastSquares(rows, features, weights, ridge);
  const residual = (row: Row) =>
    row.kind.lnDensity - features(row).reduce((sum, [column, value]) => sum + value * (found[column] ?? 0), 0);
  const effect = (names: readonly string[], from: number) =>
    Object.fromEntries(names.map((name, index) => [name, found[from + index] ?? 0]));
  const ofClasses = effect(classes, 1);
  return {
    sizeExponent: found[0] ?? 0,
    classes: ofClasses,
    roles: roleMeans(rows, ofClasses),
    places: effect(places, 1 + classes.length),
    architectures: deviations(rows, residual),
  };
}

function leastSquares(
  rows: readonly Row[],
  features: (row: Row) => [number, number][],
  weights: ReadonlyMap<string, number>,
  ridge: readonly number[],
): number[] {
  const normal = Matrix.diag([...ridge]);
  const right = Matrix.zeros(ridge.length, 1);
  for (const row of rows) {
    const weight = row.weight * (weights.get(row.arch) ?? 0);
    const own = features(row);
    for (const [i, x] of own) {
      right.set(i, 0, right.get(i, 0) + weight * x * row.kind.lnDensity);
      for (const [j, y] of own) normal.set(i, j, normal.get(i, j) + weight * x * y);
    }
  }
  return solve(normal, right).to1DArray();
}

function architectureWeights(rows: readonly Row[]): Map<string, number> {
  const models = new Map<string, Set<number>>();
  for (const { arch, model } of rows) models.set(arch, (models.get(arch) ?? new Set()).add(model));
  return new Map([...models].map(([arch, members]) => [arch, 1 / members.size]));
}

function roleMeans(rows: readonly Row[], classes: Readonly<Record<string, number>>): Record<string, number> {
  const roleOf = new Map(rows.map(({ kind }) => [kind.class, kind.role]));
  const roles = [...new Set(roleOf.values())].sort();
  return Object.fromEntries(
    roles.map((role) => {
      const members = Object.keys(classes).filter((name) => roleOf.get(name) === role);
      return [role, average(members.map((name) => classes[name] ?? 0))];
    }),
  );
}

function deviations(rows: readonly Row[], residual: (row: Row) => number): Record<string, Record<string, number>> {
  const found: Record<string, Record<string, number>> = {};
  for (const arch of new Set(rows.map((row) => row.arch))) {
    const own = rows.filter((row) => row.arch === arch);
    const names = [...new Set(own.map(({ kind }) => kind.name))].sort();
    found[arch] = Object.fromEntries(
      names.map((name) => {
        const same = own.filter(({ kind }) => kind.name === name);
        const total = same.reduce((sum, row) => sum + row.weight * residual(row), 0);
        return [name, total / (same.reduce((sum, { weight }) => sum + weight, 0) + DEVIATION_RIDGE)];
      }),
    );
  }
  return found;
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
