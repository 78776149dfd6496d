/** The tokens of a causal reranker's "yes" and "no": one each, as they follow its prompt. */
import type { LoadedRanker } from "../engine/engine.ts";
import { FormatError, UsageError } from "../errors.ts";
import { encodeFilled, type PromptForm } from "./encode-prompts.ts";

/** What is said for relevant and for not. */
export interface Answers {
  readonly yes?: string | undefined;
  readonly no?: string | undefined;
}

/** As models are trained to answer, the usual first; after a prompt that ends in a space or a line none begins with one. */
const PAIRS = [
  ["yes", "no"],
  ["Yes", "No"],
  [" yes", " no"],
  [" Yes", " No"],
  ["YES", "NO"],
] as const;

/** Ids of yes and no. Throws UsageError where those asked for are no single tokens, FormatError where none are. */
export async function answerTokens(
  ranker: Pick<LoadedRanker, "encode" | "joints">,
  path: string,
  form: PromptForm,
  { yes, no }: Answers,
): Promise<Int32Array> {
  const pair = { query: "q", document: "d" };
  const { template = "" } = form;
  const [prompt = new Int32Array()] = await encodeFilled(ranker, form, template, [pair]);
  const pairs = yes === undefined && no === undefined ? PAIRS : [[yes ?? "yes", no ?? "no"] as const];
  for (const words of pairs) {
    const continued = await Promise.all(
      words.map(async (word) => (await encodeFilled(ranker, form, template + word, [pair]))[0] as Int32Array),
    );
    const tokens = continued.map((ids) => (follows(ids, prompt) ? ids[prompt.length] : undefined));
    const [own, other] = tokens;
    if (own !== undefined && other !== undefined && own !== other) return Int32Array.of(own, other);
  }
  if (pairs !== PAIRS) {
    throw new UsageError(
      `--yes, --no: "${pairs[0]?.join('" and "')}" are not one token each after the prompt of ${path}; give others`,
    );
  }
  throw new FormatError(
    path,
    `its tokenizer has no token "yes" and "no", however written, that follows its prompt: it is no causal reranker of the yes/no kind (--yes and --no say what it answers); a rank head, if it should have one, is missing`,
  );
}

/** Whether it is the prompt and one token more. */
function follows(ids: Int32Array, prompt: Int32Array): boolean {
  return ids.length === prompt.length + 1 && prompt.every((id, index) => id === ids[index]);
}
