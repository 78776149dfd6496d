/** What preflight finds, before a command works on a model: said on stderr, and with --strict an end to it. */
import { Option } from "commander";
import type { ModelFile } from "../gguf/model.ts";
import { printable } from "../plan/printable.ts";
import { checkModel } from "../preflight/check-model.ts";
import { requireClean } from "../preflight/clean.ts";
import type { Finding, FindingCode } from "../preflight/finding-codes.ts";
import type { Output } from "./output.ts";

export const strictOption = () =>
  new Option("--strict", "exit with 3 where preflight finds an error or a warning in the model");

export interface FindingOptions {
  readonly strict?: boolean;
  /** What does not matter to this command. */
  readonly ignored?: readonly FindingCode[];
  readonly signal?: AbortSignal;
}

/**
 * Check a model and say what is wrong with it. Throws GateError where `strict` and anything is. Returns the findings.
 */
export async function reportFindings(
  file: ModelFile,
  { strict = false, ignored = [], signal }: FindingOptions,
  output: Pick<Output, "note">,
): Promise<Finding[]> {
  const found = await checkModel(file, signal === undefined ? {} : { signal });
  const findings = found.filter(({ code }) => !ignored.includes(code));
  for (const { severity, message, remedy } of findings) {
    if (severity !== "info") output.note(printable(`! ${message}; ${remedy}`));
  }
  if (strict) requireClean(file.model.path, findings);
  return findings;
}
