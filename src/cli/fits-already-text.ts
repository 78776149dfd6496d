/** What plan and run say of a model that is within the budget already: nothing is made of it. */
import { formatSizeAs } from "../numbers.ts";
import { printable } from "../plan/printable.ts";
import type { FitsAlready } from "../verbs/fits-already.ts";
import { nextCommand } from "./next-command.ts";
import type { Result } from "./output.ts";

/** `verb`: what makes a smaller file of it. */
export function fitsAlreadyResult(verb: "plan" | "run", model: string, fits: FitsAlready): Result {
  const { path, fileBytes, bpw, budget } = fits;
  const size = `${formatSizeAs(budget, fileBytes)}, ${bpw.toFixed(3)} bits per weight`;
  return {
    document: fits,
    text: () => `it fits already: ${printable(path)} has ${size}, within ${printable(budget)}; nothing was made`,
    next: nextCommand("prism", verb, model, "--like", "Q4_K_M"),
  };
}
