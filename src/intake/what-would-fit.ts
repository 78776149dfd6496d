/** Where a model does not fit a GPU with the context that was asked for: what of it would. */
import { InfeasibleError } from "../errors.ts";
import { type ContextAsked, contextSize, type KvTypes } from "../footprint/context-size.ts";
import type { HeaderMemory } from "../footprint/header-memory.ts";
import { kvTypesRefusal } from "../footprint/kv-cache.ts";
import { contextNeeded } from "../footprint/memory-needed.ts";
import { formatInteger, formatSizeAs } from "../numbers.ts";
import { type BudgetMemory, bytesForWeights } from "../plan/budget-memory.ts";

/** Contexts are tried in steps of this. */
const STEP = 1024;
const SMALLER_CACHE: KvTypes = { k: "Q8_0", v: "Q8_0" };

/** What did not fit. */
interface Asked {
  readonly text: string;
  readonly context: ContextAsked;
}

/** The error that says it; `least`: bytes of the GPU that the smallest possible weights take. */
export function whatWouldFit(header: HeaderMemory, asked: Asked, memory: BudgetMemory, least: number): InfeasibleError {
  const shown = (bytes: number) => formatSizeAs(asked.text, bytes);
  const left = bytesForWeights(memory);
  const others = memory.vramBytes - left;
  const smaller = largestContext(header, asked, asked.context.kv, memory, least);
  const usesCache = memory.kvBytes > 0 && asked.context.kv.k !== SMALLER_CACHE.k;
  const size = contextSize(header, { ...asked.context, kv: SMALLER_CACHE });
  const canShrink = usesCache && kvTypesRefusal(header, size) === undefined;
  const shrunk = canShrink ? largestContext(header, asked, SMALLER_CACHE, memory, least) : undefined;
  const whole = asked.context.context;
  const remedies = [
    ...(smaller === undefined ? [] : [`--ctx ${smaller}`]),
    ...(shrunk === undefined ? [] : [shrunk < whole ? `--kv q8_0 --ctx ${shrunk}` : "--kv q8_0"]),
    `--vram ${roundedUp(others + least, asked.text)}`,
  ];
  const leaves = left > 0 ? `leaves ${shown(left)} for the weights on the GPU` : "leaves nothing for the weights";
  return new InfeasibleError(
    `${asked.text} ${leaves}, and this model's take at least ${shown(least)}: keys and values of ` +
      `${formatInteger(whole)} tokens take ${shown(memory.kvBytes + memory.stateBytes)}, computing about ` +
      `${shown(memory.computeBytes)}, ` +
      (memory.projectorBytes === undefined ? "" : `the projector ${shown(memory.projectorBytes)}, `) +
      `the margin ${shown(memory.marginBytes)}; what would fit: ${remedies.join(", or ")}`,
  );
}

/** The largest context up to the one asked for beside which weights of `least` bytes fit. */
export function largestContext(
  header: HeaderMemory,
  { context }: Pick<Asked, "context">,
  kv: KvTypes,
  memory: BudgetMemory,
  least: number,
): number | undefined {
  const fits = (tokens: number) =>
    bytesForWeights({ ...memory, ...contextNeeded(header, { ...context, context: tokens, kv }) }) >= least;
  if (fits(context.context)) return context.context;
  let [low, high] = [0, Math.floor(context.context / STEP)];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if (fits(middle * STEP)) low = middle;
    else high = middle - 1;
  }
  return low === 0 ? undefined : low * STEP;
}

/** In a tenth of a GB, as it would be typed: in GiB where that was. */
function roundedUp(bytes: number, typed: string): string {
  if (/\d\s*[mgt]ib\b/i.test(typed)) {
    return bytes < 2 ** 30
      ? `${Math.ceil(bytes / 2 ** 20)}MiB`
      : `${(Math.ceil((bytes / 2 ** 30) * 10) / 10).toFixed(1)}GiB`;
  }
  return bytes < 1e9 ? `${Math.ceil(bytes / 1e6)}MB` : `${(Math.ceil(bytes / 1e8) / 10).toFixed(1)}GB`;
}
