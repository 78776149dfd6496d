import type { Reason } from "../plan/plan.ts";

/** Why a tensor has its type, as a clause. */
export const REASON_WORDS: Readonly<Record<Reason, string>> = {
  budget: "the allocator chose it: the bytes of a larger type save more loss elsewhere",
  pin: "it is pinned",
  floor: "a floor keeps it from being smaller",
  fallback: "its rows don't fit the blocks of 256",
  tied: "it is tied to other tensors",
  ineligible: "it keeps the type it has: llama-quantize leaves it alone or can't convert it",
  edited: "edited by hand",
  recipe: "the recipe says so",
};
