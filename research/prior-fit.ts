/**
 * Fits the sensitivity prior. In: the density of each kind of tensor (class, embedding tied or not, first or last
 * layer) of each measured model. Out: what the classes, the ends of the network and a tensor's size say, and how each
 * architecture deviates.
 *
 * ln density = model + class + place of the role − γ · ln elements + residual: least squares in which each architecture
 * weighs the same, with a ridge on the classes and places, so that what only one architecture says is halved. The
 * deviation of an architecture is its mean residual, shrunk by n / (n + 1) for n models.
 */
import { Matrix, solve } from "ml-matrix";
import type { PriorKind } from "../src/sensitivity/sensitivity-prior.ts";

/** One kind of tensor in one model. */
export interface MeasuredKind {
  readonly model: string;
  readonly arch: string;
  readonly kind: PriorKind;
  /** KLD per weight, any unit: only ratios within a model count. */
  readonly density: number;
  /** Elements of one tensor. */
  readonly elements: number;
}

export interface PriorFit {
  readonly sizeExponent: number;
  readonly classes: Readonly<Record<string, number>>;
  readonly roles: Readonly<Record<string, number>>;
  readonly places: Readonly<Record<string, number>>;
  readonly architectures: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** In architectures: a class known from one architecture keeps half of its effect. */
const EFFECT_RIDGE = 1;
/** In architectures per squared log-size; hundreds of kinds say how density goes with size, so it hardly matters. */
const SIZE_RIDGE = 0.1;
/** In models. */
const DEVIATION_RIDGE = 1;

/** Fit to all rows. Deterministic; the order of the rows does not matter beyond rounding. */
export function fitPrior(rows: readonly MeasuredKind[]): PriorFit {
  const distinct = (values: readonly (string | undefined)[]) =>
    [...new Set(values)].filter((value) => value !== undefined).sort();
  const models = distinct(rows.map(({ model }) => model));
  const classes = distinct(rows.map(({ kind }) => kind.class));
  const places = distinct(rows.map(({ kind }) => kind.place));
  const effects = 1 + classes.length + places.length;
  const mean = average(rows.map(({ elements }) => Math.log(elements)));
  const features = ({ kind, elements, model }: MeasuredKind): [column: number, value: number][] => [
    [0, mean - Math.log(elements)],
    [1 + classes.indexOf(kind.class), 1],
    ...(kind.place === undefined ? [] : [[1 + classes.length + places.indexOf(kind.place), 1] as [number, number]]),
    [effects + models.indexOf(model), 1],
  ];
  const ridge = [SIZE_RIDGE, ...Array<number>(effects - 1).fill(EFFECT_RIDGE), ...models.map(() => 0)];
  const weights = architectureWeights(rows);
  const found = leastSquares(rows, features, weights, ridge);
  const residual = (row: MeasuredKind) =>
    Math.log(row.density) - features(row).reduce((sum, [column, value]) => sum + value * (found[column] ?? 0), 0);
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
  rows: readonly MeasuredKind[],
  features: (row: MeasuredKind) => [number, number][],
  weights: ReadonlyMap<string, number>,
  ridge: readonly number[],
): number[] {
  const normal = Matrix.diag([...ridge]);
  const right = Matrix.zeros(ridge.length, 1);
  for (const row of rows) {
    const weight = weights.get(row.arch) ?? 0;
    const own = features(row);
    for (const [i, x] of own) {
      right.set(i, 0, right.get(i, 0) + weight * x * Math.log(row.density));
      for (const [j, y] of own) normal.set(i, j, normal.get(i, j) + weight * x * y);
    }
  }
  return solve(normal, right).to1DArray();
}

function architectureWeights(rows: readonly MeasuredKind[]): Map<string, number> {
  const models = new Map<string, Set<string>>();
  for (const { arch, model } of rows) models.set(arch, (models.get(arch) ?? new Set()).add(model));
  return new Map([...models].map(([arch, members]) => [arch, 1 / members.size]));
}

function roleMeans(rows: readonly MeasuredKind[], classes: Readonly<Record<string, number>>): Record<string, number> {
  const roleOf = new Map(rows.map(({ kind }) => [kind.class, kind.role]));
  const roles = [...new Set(roleOf.values())].sort();
  return Object.fromEntries(
    roles.map((role) => {
      const members = Object.keys(classes).filter((name) => roleOf.get(name) === role);
      return [role, average(members.map((name) => classes[name] ?? 0))];
    }),
  );
}

function deviations(
  rows: readonly MeasuredKind[],
  residual: (row: MeasuredKind) => number,
): Record<string, Record<string, number>> {
  const found: Record<string, Record<string, number>> = {};
  for (const arch of new Set(rows.map((row) => row.arch))) {
    const own = rows.filter((row) => row.arch === arch);
    const names = [...new Set(own.map(({ kind }) => kind.name))].sort();
    found[arch] = Object.fromEntries(
      names.map((name) => {
        const residuals = own.filter(({ kind }) => kind.name === name).map(residual);
        return [name, residuals.reduce((sum, value) => sum + value, 0) / (residuals.length + DEVIATION_RIDGE)];
      }),
    );
  }
  return found;
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
