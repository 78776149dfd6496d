/**
 * Filled templates → tokens. The template's own special tokens count; what a person wrote is text, whatever it looks like,
 * so that no document ends the prompt and answers for the model. llama-server tokenizes the whole, documents included, and
 * a text without special tokens comes out the same here.
 */
import type { LoadedRanker } from "../engine/engine.ts";
import { RERANK_PROMPT, THINK_BLOCK } from "../preflight/rerank-prompt.ts";
import { fillTemplate, type RerankPair, splitTemplate } from "./rerank-prompt.ts";
import type { Reranker } from "./reranker.ts";

/** Where special tokens that are written out count: in the template, or wherever llama.cpp finds them. */
export const SPECIAL_PLACES = ["template", "llama.cpp"] as const;
export type SpecialPlace = (typeof SPECIAL_PLACES)[number];

/** Which token of a pair is of which text: as BERT was trained, or all of the first, as llama.cpp takes them. */
export const PAIR_WAYS = ["llama.cpp", "published"] as const;
export type PairWay = (typeof PAIR_WAYS)[number];

export interface PromptForm {
  /** Absent: query and document are joined with the model's own tokens. */
  readonly template?: string | undefined;
  /** The next token is the judgement: nothing may follow the prompt. */
  readonly causal: boolean;
  readonly special: RegExp | undefined;
  readonly places: SpecialPlace;
}

/** The form of a reranker's prompts. */
export function promptForm(
  { head, template, special, thinks }: Pick<Reranker, "head" | "template" | "special" | "thinks">,
  places: SpecialPlace = "template",
): PromptForm {
  const causal = head === "yes-no-logits";
  const usual = thinks === false ? RERANK_PROMPT.replace(THINK_BLOCK, "") : RERANK_PROMPT;
  return { template: template ?? (causal ? usual : undefined), causal, special, places };
}

type Encoding = Pick<LoadedRanker, "encode" | "joints">;

const TEXT = { addSpecial: false, parseSpecial: false };
const WITH_SPECIAL = { addSpecial: false, parseSpecial: true };

/**
 * Tokens of a template, or a part of one, filled with each pair. A causal prompt begins as the model wants it, and never
 * ends with a token of its end.
 */
export async function encodeFilled(
  ranker: Encoding,
  { causal, special, places }: Omit<PromptForm, "template">,
  template: string,
  pairs: readonly RerankPair[],
): Promise<Int32Array[]> {
  const bos = causal ? ranker.joints.bos : undefined;
  const whole = await ranker.encode(
    pairs.map((pair) => fillTemplate(template, pair)),
    WITH_SPECIAL,
  );
  return Promise.all(
    pairs.map(async (pair, index) => {
      const speaks = places === "template" && special !== undefined && speaksForModel(template, pair, special);
      const ids = speaks ? await encodeApart(ranker, template, pair, special) : (whole[index] as Int32Array);
      return bos === undefined || ids[0] === bos ? ids : Int32Array.of(bos, ...ids);
    }),
  );
}

/** Whether a special token is written out in what a person wrote. */
function speaksForModel(template: string, pair: RerankPair, special: RegExp): boolean {
  return splitTemplate(template, pair).some(({ text, own }) => !own && text.search(special) >= 0);
}

/** The template's special tokens as such, and the text between them as text. */
async function encodeApart(ranker: Encoding, template: string, pair: RerankPair, special: RegExp): Promise<Int32Array> {
  const runs: { text: string; special: boolean }[] = [];
  const add = (text: string, isSpecial: boolean) => {
    const last = runs.at(-1);
    if (text === "") return;
    if (last !== undefined && !last.special && !isSpecial) last.text += text;
    else runs.push({ text, special: isSpecial });
  };
  for (const { text, own } of splitTemplate(template, pair)) {
    let at = 0;
    for (const match of own ? text.matchAll(special) : []) {
      add(text.slice(at, match.index), false);
      add(match[0], true);
      at = match.index + match[0].length;
    }
    add(text.slice(at), false);
  }
  const encoded = await Promise.all(
    runs.map(async (run) => (await ranker.encode([run.text], run.special ? WITH_SPECIAL : TEXT))[0] as Int32Array),
  );
  return Int32Array.from(encoded.flatMap((ids) => [...ids]));
}
