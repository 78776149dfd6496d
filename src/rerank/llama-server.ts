/**
 * The same scores from a running llama-server: /v1/rerank for a rank head, /completion with every sampler off for a
 * causal reranker (as the publishers of causal rerankers do it). llama-server reports the first output of a rank head
 * as it is: a softmax's share for qwen3 and qwen3vl, a raw logit for the others.
 */
import { EngineError, FormatError, UsageError } from "../errors.ts";
import { promptForm } from "./encode-prompts.ts";
import { fillMedia, type MediaPrompt } from "./media-prompt.ts";
import { isOfTexts, type RankContent } from "./rank-content.ts";
import { scoreOutputs } from "./rerank-head.ts";
import type { Lengths, RerankRequest, RerankScorer, ScoredDocument } from "./rerank-scorer.ts";
import type { Reranker } from "./reranker.ts";
import { askServer, field, numberField } from "./server-request.ts";
import { SEEING_SERVER } from "./sight.ts";

/** "yes" and "no" are among the likeliest tokens of a trained reranker; where not, the whole vocabulary is asked for. */
const LIKELIEST_TOKENS = 50;
/** llama-server reports no probabilities where the token it draws ends the text or is half a character: it draws again. */
const DRAWS = 32;
/** llama-server's score of a prompt it could not pool. */
const NOT_SCORED = -1e6;

export interface LlamaServerOptions {
  /** Like http://127.0.0.1:8080. */
  readonly server: string;
  readonly reranker: Reranker;
  readonly signal: AbortSignal;
}

/** Throws UsageError for an address that is none, EngineError (missing) where no llama-server answers. */
export async function openServerScorer({ server, reranker, signal }: LlamaServerOptions): Promise<RerankScorer> {
  const base = parseServer(server);
  const ask: Ask = (path, body, gone) =>
    askServer(`${base}${path}`, body, gone === undefined ? signal : AbortSignal.any([signal, gone]));
  await ask("/health");
  const score = reranker.head === "yes-no-logits" ? await completionScores(ask, reranker) : rankScores(ask, reranker);
  return {
    reranker,
    scoredBy: base,
    score: async (request) => {
      checkLengths(request);
      return score(request);
    },
    close: () => Promise.resolve(),
  };
}

type Ask = (path: string, body?: unknown, gone?: AbortSignal) => Promise<unknown>;
type Request = RerankRequest<RankContent>;

function checkLengths({ documentTokens, promptTokens }: Lengths): void {
  if (documentTokens === undefined && promptTokens === undefined) return;
  throw new UsageError(
    "a llama-server reads documents whole; leave out what bounds their tokens, or cut them yourself",
  );
}

function parseServer(server: string): string {
  const url = URL.canParse(server) ? new URL(server) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    throw new UsageError(`--server: expected an address like http://127.0.0.1:8080, got "${server}"`);
  }
  return `${url.origin}${url.pathname.replace(/\/+$/, "")}`;
}

function rankScores(ask: Ask, reranker: Reranker) {
  if (reranker.head === "softmax") {
    throw new EngineError(
      `${reranker.path} has a head of two raw logits, of which llama-server reports one; score it without --server`,
    );
  }
  return async (request: Request): Promise<ScoredDocument[]> => {
    if (!isOfTexts(request)) {
      throw new UsageError(
        `llama-server's /v1/rerank takes texts only, and ${reranker.path} has a rank head, which nothing else asks; images can be ranked by a file without one, converted as a language model that answers "yes" or "no"`,
      );
    }
    const { query, documents, instruct, signal } = request;
    if (instruct !== undefined) {
      throw new UsageError(
        "llama-server's /v1/rerank takes no instruction; score without --server, or leave instruct out of the set",
      );
    }
    const reply = await ask("/v1/rerank", { query, documents }, signal);
    const results = field(reply, "results");
    const values = new Array<number>(documents.length).fill(Number.NaN);
    for (const result of Array.isArray(results) ? results : []) {
      const index = numberField(result, "index");
      if (index in values) values[index] = numberField(result, "relevance_score");
    }
    if (values.some((value) => !Number.isFinite(value) || value === NOT_SCORED)) {
      throw new EngineError(`llama-server did not score every document with ${reranker.path}; see its log`);
    }
    return values.map((value) => scored(reranker, value));
  };
}

function scored(reranker: Reranker, value: number): ScoredDocument {
  const { path, head, relevant } = reranker;
  // What is reported is the first output, which need not be the relevant one.
  const outputs = head.startsWith("sigmoid") ? [value] : [value, 1 - value];
  return { ...scoreOutputs(path, head, outputs, relevant), truncated: false };
}

async function completionScores(ask: Ask, reranker: Reranker) {
  const token = async (word: string) => {
    const tokens = field(await ask("/tokenize", { content: word, add_special: false }), "tokens");
    return onlyToken(reranker.path, word, Array.isArray(tokens) ? tokens.map(Number) : []);
  };
  const ids = { yes: await token("yes"), no: await token("no") };
  const { template = "" } = promptForm(reranker);
  return async ({ query, documents, instruct, signal, pause }: Request): Promise<ScoredDocument[]> => {
    const askFor: Ask = (path, body) => ask(path, body, signal);
    let marker: Promise<string> | undefined;
    const documentScores: ScoredDocument[] = [];
    for (const document of documents) {
      signal?.throwIfAborted();
      const prompt = await fillMedia(template, { query, document, instruct }, () => (marker ??= mediaMarker(askFor)));
      documentScores.push(await completionScore(askFor, reranker, prompt, ids));
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
  prompt: MediaPrompt,
  ids: { yes: number; no: number },
): Promise<ScoredDocument> {
  let wanted = LIKELIEST_TOKENS;
  for (let draw = 0; draw < DRAWS; draw++) {
    const reply = await ask("/completion", {
      prompt,
      n_predict: 1,
      temperature: 1,
      top_k: -1,
      top_p: 1,
      min_p: 0,
      n_probs: wanted,
      post_sampling_probs: true,
      // A prompt of which a part is kept from before is decoded in other batches, and adds up otherwise.
      cache_prompt: false,
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
