/**
 * A query and documents → the tokens of a prompt each. Documents that don't fit the context are cut at their end, by whole
 * tokens, so that the prompt around them stays whole; of texts that can't fit only the beginning is tokenized.
 */
import type { LoadedRanker } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { RERANK_PROMPT } from "../preflight/rerank-prompt.ts";
import { type Beginning, beginningOf } from "./beginning-of.ts";
import { fillTemplate } from "./rerank-prompt.ts";
import type { RerankRequest } from "./rerank-scorer.ts";
import type { Reranker } from "./reranker.ts";

export interface Prompt {
  readonly ids: Int32Array;
  readonly truncated: boolean;
}

/** UTF-16 units tokenized between two looks at whether to stop. */
const UNITS_PER_CALL = 2 ** 18;

/** Throws UsageError for a query or instruct too long, the reason of an aborted signal. */
export async function buildPrompts(
  ranker: LoadedRanker,
  reranker: Reranker,
  limit: number,
  { query, documents, instruct, signal }: RerankRequest,
): Promise<Prompt[]> {
  const template = reranker.template ?? (reranker.head === "yes-no-logits" ? RERANK_PROMPT : undefined);
  // llama-server: /v1/rerank adds no special tokens to a template, /completion adds the model's own to a prompt.
  const options = { addSpecial: reranker.head === "yes-no-logits", parseSpecial: template !== undefined };
  for (const [what, text] of Object.entries({ query, instruct: instruct ?? "" })) {
    if ((await beginningOf(ranker, text, limit, options)).cut) throw noRoom(limit, what);
  }
  const promptsOf =
    template === undefined
      ? await joinPairs(ranker, limit, query)
      : fillPrompts(ranker, limit, (document) => fillTemplate(template, { query, document, instruct }), options);
  const around = template === undefined ? 0 : query.length + (instruct?.length ?? 0);
  const prompts: Prompt[] = [];
  while (prompts.length < documents.length) {
    const taken: Beginning[] = [];
    for (let units = 0; units < UNITS_PER_CALL; ) {
      const document = documents[prompts.length + taken.length];
      if (document === undefined) break;
      signal?.throwIfAborted();
      const beginning = await beginningOf(ranker, document, limit, options);
      taken.push(beginning);
      units += beginning.text.length + around;
    }
    prompts.push(...(await promptsOf(taken)));
  }
  return prompts;
}

type PromptsOf = (taken: readonly Beginning[]) => Promise<Prompt[]>;

function fillPrompts(
  ranker: LoadedRanker,
  limit: number,
  fill: (document: string) => string,
  options: Parameters<LoadedRanker["encode"]>[1],
): PromptsOf {
  const encode = async (document: string) => (await ranker.encode([fill(document)], options))[0] as Int32Array;
  return async (taken) => {
    const whole = await ranker.encode(
      taken.map(({ text }) => fill(text)),
      options,
    );
    return Promise.all(
      whole.map(async (ids, index): Promise<Prompt> => {
        const { text, cut } = taken[index] as Beginning;
        if (ids.length <= limit) return { ids, truncated: cut };
        return { ids: await cutToFit(ranker, text, ids.length, limit, encode), truncated: true };
      }),
    );
  };
}

/** Encode the longest beginning of the document whose prompt fits. Cutting can change how its last word tokenizes. */
async function cutToFit(
  ranker: LoadedRanker,
  document: string,
  tokens: number,
  limit: number,
  encode: (document: string) => Promise<Int32Array>,
): Promise<Int32Array> {
  const [pieces = new Int32Array()] = await ranker.encode([document], { addSpecial: false, parseSpecial: false });
  let over = tokens - limit;
  for (let kept = pieces.length - over; kept > 0; kept -= Math.max(1, over)) {
    const beginning = await ranker.detokenize(pieces.slice(0, kept));
    // half a character is left where its bytes were two tokens
    const ids = await encode(beginning.replace(/\uFFFD+$/, ""));
    if (ids.length <= limit) return ids;
    over = ids.length - limit;
  }
  throw noRoom(limit);
}

/** BOS query EOS SEP document EOS, each where the model adds it: what llama-server gives a model without a template. */
async function joinPairs(ranker: LoadedRanker, limit: number, query: string): Promise<PromptsOf> {
  const plain = { addSpecial: false, parseSpecial: false };
  const { bos, eos, sep } = ranker.joints;
  const [asked = new Int32Array()] = await ranker.encode([query], plain);
  const given = (...ids: (number | undefined)[]) => ids.filter((id) => id !== undefined);
  const head = [...given(bos), ...asked, ...given(eos, sep)];
  const tail = given(eos);
  const room = limit - head.length - tail.length;
  if (room < 1) throw noRoom(limit);
  return async (taken) => {
    const pieces = await ranker.encode(
      taken.map(({ text }) => text),
      plain,
    );
    return pieces.map((ids, index) => ({
      ids: Int32Array.from([...head, ...ids.subarray(0, room), ...tail]),
      truncated: ids.length > room || (taken[index] as Beginning).cut,
    }));
  };
}

function noRoom(limit: number, what = "query"): UsageError {
  return new UsageError(
    `the ${what} leaves no room for a document in a context of ${limit} tokens; shorten it, or give a larger --context`,
  );
}
