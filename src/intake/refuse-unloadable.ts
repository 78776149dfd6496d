/** Work ends before it begins on a model that can't end in a file that llama.cpp loads. */
import type { Engine } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import type { Model } from "../gguf/model.ts";
import { type Finding, isMendable, isRefused } from "../preflight/finding-codes.ts";
import { planRepair } from "../repair/repair.ts";

/**
 * Throws FormatError, which names the first such finding, what to do, and how to go on regardless. Of another build than the
 * embedded one, whose programs do the work, it isn't known what they refuse: the findings are warnings then.
 */
export function refuseUnloadable(
  model: Model,
  findings: readonly Finding[],
  { programs }: Pick<Engine, "programs">,
): void {
  const [first, ...others] = findings.filter(isRefused);
  if (first === undefined || programs !== undefined) return;
  const more = others.length === 0 ? "" : ` (and ${others.map(({ code }) => code).join(", ")})`;
  const mends = isMendable(first) && planRepair(model).changes.length > 0;
  throw new FormatError(
    model.path,
    `${first.code}: ${first.message}; ${first.remedy}${more}. prism repair ${mends ? "can" : "can't"} mend it; who knows better goes on with --force-findings`,
    { finding: first.code },
  );
}

/** What is said in its place where that was asked for; undefined where nothing is wrong so far. */
export function forcedNote(findings: readonly Finding[]): string | undefined {
  const codes = findings.filter(isRefused).map(({ code }) => code);
  if (codes.length === 0) return undefined;
  return `--force-findings: going on with a model that llama.cpp does not load (${codes.join(", ")}); what comes of it may not load either`;
}
