/** What is asked of a model before it is judged, by one machine or by many. */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import { isEncoder } from "../ggml/model-facts.ts";
import type { OpenModel } from "../gguf/model.ts";
import { engineFindings } from "../intake/engine-findings.ts";
import { refuseUnloadable } from "../intake/refuse-unloadable.ts";
import { requireClean } from "../preflight/clean.ts";
import { examineModel } from "../preflight/examine-model.ts";

export interface JudgedChecks {
  readonly strict?: boolean | undefined;
  /** Go on with a model that llama.cpp does not load. */
  readonly forceFindings?: boolean | undefined;
  /** Its next tokens are judged. */
  readonly byText: boolean;
  /** What was said already: files of one model have the same findings. */
  readonly said: Set<string>;
}

/** Say what is wrong with it. Throws FormatError where llama.cpp does not load it, UsageError for an encoder by text. */
export async function examineJudged(
  open: OpenModel,
  { strict = false, forceFindings = false, byText, said }: JudgedChecks,
  bench: Bench,
): Promise<void> {
  const { signal, progress } = bench;
  const found = await examineModel(open, { signal });
  found.push(...(await engineFindings(open.model, found, bench)));
  // what is judged here is quantized as a rule
  const findings = found.filter(({ code }) => code !== "already-quantized");
  // --strict says the same in its own way, after the notes
  if (!forceFindings && !strict) refuseUnloadable(open.model, findings, bench.engine);
  for (const { severity, message, remedy } of findings) {
    const words = `${message}; ${remedy}`;
    if (severity === "info" || said.has(words)) continue;
    said.add(words);
    progress.note(`! ${words}`);
  }
  if (strict) requireClean(open.path, findings);
  if (byText) refuseEncoder(open);
}

export function refuseEncoder({ path, model }: Pick<OpenModel, "path" | "model">): void {
  if (!isEncoder(model.arch)) return;
  throw new UsageError(`--text: ${path} is an encoder and predicts no next token; leave it out`);
}
