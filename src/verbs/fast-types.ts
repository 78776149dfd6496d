/** Types for whoever counts tokens per second: those that are slow here, by measurement, are no choice. */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import { typeSpeeds } from "../evaluate/type-speeds.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { type PlanningRequest, typesOf } from "./planning-request.ts";

/**
 * The types that may be chosen: with `preferSpeed` those of them in which nothing of as many bits or more generates much
 * faster here. Measures where the cache has nothing, in minutes. Throws UsageError where none is left.
 */
export async function offeredTypes(
  request: Pick<PlanningRequest, "types" | "preferSpeed">,
  bench: () => Promise<Bench>,
  measure: typeof typeSpeeds = typeSpeeds,
): Promise<readonly TensorType[] | undefined> {
  const asked = typesOf(request);
  if (request.preferSpeed !== true) return asked;
  const opened = await bench();
  const { types } = await measure({}, opened);
  const slow = types.filter(
    ({ type, slowGeneration }) => slowGeneration !== undefined && (asked?.includes(type) ?? true),
  );
  const isSlow = new Set(slow.map(({ type }) => type));
  const fast = (asked ?? types.map(({ type }) => type)).filter((type) => !isSlow.has(type));
  if (fast.length === 0) {
    throw new UsageError(`--prefer-speed leaves none of --types ${asked?.join(",")}: all are slow here; allow others`);
  }
  const reasons = slow.map(({ type, slowGeneration }) => `${type} (${slowGeneration} is faster)`);
  opened.progress.note(
    slow.length === 0
      ? "--prefer-speed: no type is slow here"
      : `--prefer-speed leaves out ${reasons.join(", ")}; the same as --types ${fast.join(",")}`,
  );
  return fast;
}
