/**
 * A query and documents → the tokens of a prompt each. Documents that don't fit the context are cut at their end, by whole
 * tokens, so that the prompt around them stays whole; of texts that can't fit only the beginning is tokenized.
 */
import type { LoadedRanker } from "../engine/engine.ts";
import { UsageError } from "../errors.ts";
import { type Beginning, beginningOf } from "./beginning-of.ts";
import { cutTo, cutToFit, PLAIN } from "./cut-document.ts";
import { encodeFilled, type PromptForm } from "./encode-prompts.ts";
import type { RerankRequest } from "./rerank-scorer.ts";

export interface Prompt {
  readonly ids: Int32Array;
  readonly truncated: boolean;
  /** Where the document begins, of a pair that is joined. */
  readonly second?: number;
}

/** UTF-16 units tokenized between two looks at whether to stop. */
const UNITS_PER_CALL = 2 ** 18;

/**
 * `context` is the most tokens of a prompt. Throws UsageError for a query or instruct too long, and for a document that
 * would have to be cut where the request refuses those; the reason of an aborted signal.
 */
export async function buildPrompts(
  ranker: LoadedRanker,
  form: PromptForm,
  context: number,
  request: RerankRequest,
): Promise<Prompt[]> {
  const { query, documents, instruct, documentTokens, signal } = request;
  const limit = Math.min(context, request.promptTokens ?? context);
  const { template } = form;
  for (const [what, text] of Object.entries({ query, instruct: instruct ?? "" })) {
    if ((await beginningOf(ranker, text, limit, PLAIN)).cut) throw noRoom(limit, what);
  }
  const promptsOf =
    template === undefined
      ? await joinPairs(ranker, limit, query)
      : fillPrompts(limit, ranker, (texts) =>
          encodeFilled(
            ranker,
            form,
            template,
            texts.map((document) => ({ query, document, instruct })),
          ),
        );
  const around = template === undefined ? 0 : query.length + (instruct?.length ?? 0);
  const prompts: Prompt[] = [];
  while (prompts.length < documents.length) {
    const taken: Beginning[] = [];
    for (let units = 0; units < UNITS_PER_CALL; ) {
      const document = documents[prompts.length + taken.length];
      if (document === undefined) break;
      signal?.throwIfAborted();
      const beginning = await beginningOf(ranker, document, limit, PLAIN);
      taken.push(documentTokens === undefined ? beginning : await cutTo(ranker, beginning, documentTokens));
      units += beginning.text.length + around;
    }
    prompts.push(...(await promptsOf(taken)));
    if (request.refuseLonger) refuseTruncated(prompts);
  }
  return prompts;
}

function refuseTruncated(prompts: readonly Prompt[]): void {
  const index = prompts.findIndex(({ truncated }) => truncated);
  if (index < 0) return;
  throw new UsageError(`document ${index} is too long to be read whole; shorten it, or let it be truncated`);
}

type PromptsOf = (taken: readonly Beginning[]) => Promise<Prompt[]>;

function fillPrompts(
  limit: number,
  ranker: LoadedRanker,
  encode: (documents: readonly string[]) => Promise<Int32Array[]>,
): PromptsOf {
  const encodeOne = async (document: string) => (await encode([document]))[0] as Int32Array;
  return async (taken) => {
    const whole = await encode(taken.map(({ text }) => text));
    return Promise.all(
      whole.map(async (ids, index): Promise<Prompt> => {
        const { text, cut } = taken[index] as Beginning;
        if (ids.length <= limit) return { ids, truncated: cut };
        const beginning = await cutToFit(ranker, text, ids.length, limit, encodeOne);
        if (beginning === undefined) throw noRoom(limit);
        return { ids: beginning.ids, truncated: true };
      }),
    );
  };
}

/** BOS query EOS SEP document EOS, each where the model adds it: what llama-server gives a model without a template. */
async function joinPairs(ranker: LoadedRanker, limit: number, query: string): Promise<PromptsOf> {
  const { bos, eos, sep } = ranker.joints;
  const [asked = new Int32Array()] = await ranker.encode([query], PLAIN);
  const given = (...ids: (number | undefined)[]) => ids.filter((id) => id !== undefined);
  const head = [...given(bos), ...asked, ...given(eos, sep)];
  const tail = given(eos);
  const room = limit - head.length - tail.length;
  if (room < 1) throw noRoom(limit);
  return async (taken) => {
    const pieces = await ranker.encode(
      taken.map(({ text }) => text),
      PLAIN,
    );
    return pieces.map((ids, index) => ({
      ids: Int32Array.from([...head, ...ids.subarray(0, room), ...tail]),
      truncated: ids.length > room || (taken[index] as Beginning).cut,
      second: head.length,
    }));
  };
}

function noRoom(limit: number, what = "query"): UsageError {
  return new UsageError(
    `the ${what} leaves no room for a document in a context of ${limit} tokens; shorten it, or allow longer prompts (--context)`,
  );
}
