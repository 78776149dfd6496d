/** What an evaluation says of the text that its models were judged on. */
import { scoredTokens } from "../engine/logits-file.ts";
import type { OpenModel } from "../gguf/model.ts";
import { present } from "../present.ts";
import type { Evaluation } from "./evaluation.ts";
import { MIN_CHUNKS } from "./length-rule.ts";
import { type EvaluationText, hashIds } from "./text.ts";

export function describeText(text: EvaluationText, spread: boolean): Evaluation["text"] {
  const { context, chunks } = text.tokens;
  return present({
    source: text.source,
    path: text.path,
    sha256: text.fileHash ?? hashIds(text.tokens.ids),
    seed: text.seed,
    context,
    chunks,
    spread: spread || undefined,
    tokens: chunks * scoredTokens(context),
  });
}

/** What a person should know of it. */
export function textWarnings(
  { tokens: { chunks, context } }: EvaluationText,
  { facts: { contextTrain } }: Pick<OpenModel, "facts">,
): string[] {
  return [
    ...(chunks < MIN_CHUNKS
      ? [`only ${chunks} chunks were scored; fewer than ${MIN_CHUNKS} give no verdict: use a longer text`]
      : []),
    ...(contextTrain > 0 && context > contextTrain
      ? [`a context of ${context} is longer than the ${contextTrain} tokens the model was trained with`]
      : []),
  ];
}
