/** A prior and measurements of more models → a prior of all of them, with what each is predicted by the others. */
import { FormatError } from "../errors.ts";
import { present } from "../present.ts";
import { fitPrior } from "./fit-prior.ts";
import type { MeasuredKind, MeasuredModel } from "./measured-model.ts";
import { MAX_MODELS, type Prior, predictLogDensity } from "./sensitivity-prior.ts";

/** Architectures have a few dozen, and many of them in common. */
const MAX_CLASSES = 500;

/** Fit anew with these models; one that the prior has by this name or header already is replaced. Throws FormatError. */
export function growPrior(prior: Prior, added: readonly MeasuredModel[]): Prior {
  if (prior.measured === undefined) {
    throw new FormatError(
      `prior ${prior.version}`,
      "has no `measured`, which models are added to; take plans/sensitivity-prior.json of the package, or one made of it",
    );
  }
  const models = [...prior.measured.filter((known) => !added.some((model) => isSame(known, model))), ...added];
  const classes = new Set(models.flatMap(({ kinds }) => kinds.map((kind) => kind.class)));
  if (models.length > MAX_MODELS || classes.size > MAX_CLASSES) {
    throw new FormatError(
      `prior ${prior.version}`,
      `would be of ${models.length} models with ${classes.size} classes of tensors, at most ${MAX_MODELS} and ${MAX_CLASSES} are fitted; add fewer`,
    );
  }
  const theirs = models.filter(({ name }) => !prior.source?.models.includes(name)).length;
  const [version = ""] = prior.version.split(" + ");
  return {
    ...prior,
    version: theirs === 0 ? version : `${version} + ${theirs} ${theirs === 1 ? "model" : "models"}`,
    ...fitPrior(models),
    measured: models.map((model) => ({
      ...model,
      leftOut: predictionOf(
        model,
        models.filter((other) => other !== model),
      ),
    })),
  };
}

/** Three decimals are as much as any measurement gives. */
export function serializePrior(prior: Prior): string {
  return JSON.stringify(prior, (_, value) => (typeof value === "number" ? Number(value.toFixed(3)) : value), 1);
}

function isSame(a: MeasuredModel, b: MeasuredModel): boolean {
  return a.name === b.name || (a.headerHash !== undefined && a.headerHash === b.headerHash);
}

/** How well the prior of the others predicts the densities of a model. */
function predictionOf({ arch, kinds }: MeasuredModel, others: readonly MeasuredModel[]) {
  const prior = fitPrior(others);
  const known = kinds.map(({ lnDensity }) => lnDensity);
  const guessed = kinds.map((kind) => predictLogDensity(prior, arch, kind, kind.elements));
  const left = known.map((value, index) => value - (guessed[index] ?? 0));
  const varied = deviation(known) * deviation(guessed);
  const product = mean(known.map((value, i) => (value - mean(known)) * ((guessed[i] ?? 0) - mean(guessed))));
  return {
    ...present({ correlation: varied === 0 ? undefined : product / varied, share: shareOf(kinds, guessed) }),
    sd: deviation(left),
  };
}

/**
 * Percent of the gain over equal densities that the true ones would give, where D falls fourfold per bit and bits are
 * continuous: tensors then get D in inverse proportion to what their density is held to be. Undefined where none is to gain.
 */
function shareOf(kinds: readonly MeasuredKind[], guessed: readonly number[]): number | undefined {
  const weights = kinds.map(({ elements, tensors }) => elements * tensors);
  const total = weights.reduce((sum, weight) => sum + weight, 0);
  const over = (of: (index: number) => number) =>
    weights.reduce((sum, weight, index) => sum + (weight / total) * of(index), 0);
  const truth = over((index) => kinds[index]?.lnDensity ?? 0);
  const lossBy = (held: readonly number[]) => {
    const level = over((index) => held[index] ?? 0) - truth;
    return over((index) => Math.exp((kinds[index]?.lnDensity ?? 0) - (held[index] ?? 0) + level));
  };
  const equal = lossBy(kinds.map(() => 0));
  return equal - 1 < 1e-9 ? undefined : (100 * (equal - lossBy(guessed))) / (equal - 1);
}

function deviation(values: readonly number[]): number {
  const middle = mean(values);
  return Math.sqrt(mean(values.map((value) => (value - middle) ** 2)));
}

function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
