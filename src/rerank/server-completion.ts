/**
 * Scores from llama-server's /completion with every sampler off: the probabilities of "yes" and "no" after the prompt, of
 * texts and, where the server has a projector, of pictures.
 */
import { EngineError, FormatError, UsageError } from "../errors.ts";
import { promptForm } from "./encode-prompts.ts";
import { fillMedia, type MediaPrompt } from "./media-prompt.ts";
import type { RankContent } from "./rank-content.ts";
import { scoreOutputs } from "./rerank-head.ts";
import type { RerankRequest, ScoredDocument } from "./rerank-scorer.ts";
import type { Reranker } from "./reranker.ts";
import { field, numberField } from "./server-request.ts";
import { SEEING_SERVER } from "./sight.ts";

/** "yes" and "no" are among the likeliest tokens of a trained reranker; where not, the whole vocabulary is asked for. */
const LIKELIEST_TOKENS = 50;
/** llama-server reports no probabilities where the token it draws ends the text or is half a character: it draws again. */
const DRAWS = 32;

/** GET, or POST with a body; `gone` ends it early. */
export type Ask = (path: string, body?: unknown, gone?: AbortSignal) => Promise<unknown>;
export type Score = (request: RerankRequest<RankContent>) => Promise<ScoredDocument[]>;

/** Throws FormatError where the server's tokenizer splits "yes" or "no". */
export async function completionScores(ask: Ask, reranker: Reranker, cachePrompt = false): Promise<Score> {
  const token = async (word: string) => {
    const tokens = field(await ask("/tokenize", { content: word, add_special: false }), "tokens");
    return onlyToken(reranker.path, word, Array.isArray(tokens) ? tokens.map(Number) : []);
  };
  const ids = { yes: await token("yes"), no: await token("no") };
  const { template = "" } = promptForm(reranker);
  return async ({ query, documents, instruct, signal, pause }) => {
    const askFor: Ask = (path, body) => ask(path, body, signal);
    let marker: Promise<string> | undefined;
    const documentScores: ScoredDocument[] = [];
    for (const [index, document] of documents.entries()) {
      signal?.throwIfAborted();
      const prompt = await fillMedia(template, { query, document, instruct }, () => (marker ??= mediaMarker(askFor)));
      const scored = completionScore(askFor, reranker, { prompt, cache_prompt: cachePrompt }, ids).catch(
        (error: Error) => {
          if (!(error instanceof UsageError)) throw error;
          throw new UsageError(`document ${index}: ${error.message}`, { cause: error });
        },
      );
      documentScores.push(await scored);
      await pause?.();
    }
    return documentScores;
  };
}

/** What a server that sees puts a picture in the place of; drawn anew at every start. */
async function mediaMarker(ask: Ask): Promise<string> {
  const props = await ask("/props");
  const marker = field(props, "media_marker");
  if (field(field(props, "modalities"), "vision") === true && typeof marker === "string") return marker;
  throw new EngineError(`the llama-server can't read images; start it as ${SEEING_SERVER}`);
}

async function completionScore(
  ask: Ask,
  reranker: Reranker,
  asked: { prompt: MediaPrompt; cache_prompt: boolean },
  ids: { yes: number; no: number },
): Promise<ScoredDocument> {
  let wanted = LIKELIEST_TOKENS;
  for (let draw = 0; draw < DRAWS; draw++) {
    const reply = await ask("/completion", {
      ...asked,
      n_predict: 1,
      temperature: 1,
      top_k: -1,
      top_p: 1,
      min_p: 0,
      n_probs: wanted,
      post_sampling_probs: true,
      seed: draw,
    });
    const likeliest = likeliestTokens(reply);
    const [yes, no] = [likeliest?.get(ids.yes), likeliest?.get(ids.no)];
    if (yes !== undefined && no !== undefined) {
      const outputs = [Math.log(yes), Math.log(no)];
      return {
        ...scoreOutputs(reranker.path, reranker.head, outputs, reranker.relevant),
        tokens: numberField(reply, "tokens_evaluated"),
        truncated: false,
      };
    }
    if (likeliest !== undefined && wanted === reranker.vocabSize) break;
    if (likeliest !== undefined) wanted = reranker.vocabSize;
  }
  throw new EngineError(
    `llama-server gave no probability of "yes" and "no" after a prompt to ${reranker.path}: is another model loaded, or one whose weights are damaged?`,
  );
}

/** Probability by token id; undefined where the drawn token made llama-server report none. */
function likeliestTokens(reply: unknown): Map<number, number> | undefined {
  const positions = field(reply, "completion_probabilities");
  const tokens = field(Array.isArray(positions) ? positions[0] : undefined, "top_probs");
  if (!Array.isArray(tokens)) return undefined;
  return new Map(tokens.map((entry) => [numberField(entry, "id"), numberField(entry, "prob")]));
}

/** The one token a word is. Throws FormatError where the tokenizer splits it. */
function onlyToken(path: string, word: string, tokens: ArrayLike<number>): number {
  const [token] = Array.from(tokens);
  if (token !== undefined && tokens.length === 1) return token;
  throw new FormatError(
    path,
    `its tokenizer makes ${tokens.length} tokens of "${word}", expected one: it is no causal reranker of the yes/no kind; a rank head, if it should have one, is missing`,
  );
}
