/**
 * Whether two models have the same tokens, as their headers say: ids of one mean something else to a model of other
 * tokens, though there are as many. What publishers change on purpose (padding, end of turn, templates) is only said.
 */
import { FormatError } from "../errors.ts";
import type { MetadataValue, Model } from "../gguf/model.ts";

export interface VocabularyDifferences {
  /** What differs, in words. */
  readonly differences: readonly string[];
  /** The keys among it that may decide how a text is cut: then only the ids themselves tell. */
  readonly doubts: readonly string[];
}

export interface VocabularyRules {
  /** Unused tokens at the end may be more or fewer: what is compared has no value per token. */
  readonly padding: boolean;
}

const TOKENS = "tokenizer.ggml.tokens";
const TYPES = "tokenizer.ggml.token_type";
/** LLAMA_TOKEN_TYPE_UNUSED: what converters fill the rows of an embedding up with. */
const UNUSED = 5;

/** Keys that no text is cut by. */
const NEVER_CUTS =
  /^tokenizer\.(chat_template.*|huggingface\.json|ggml\.((padding|eot|eom|mask|prefix|suffix|middle)_token_id|fim_\w+))$/;
const EOS = "tokenizer.ggml.eos_token_id";
/** Tokenizers that put no EOS behind a text unless the header says so. */
const WITHOUT_EOS = new Set<MetadataValue | undefined>(["gpt2", "llama"]);

/** Compare a model's tokens with its reference's. Throws FormatError where they are not the same. */
export function compareVocabularies(
  model: Pick<Model, "path" | "metadata">,
  reference: Pick<Model, "path" | "metadata">,
  { padding }: VocabularyRules,
): VocabularyDifferences {
  const renamed = compareTokens(model, reference, padding);
  const keys = [...new Set([...reference.metadata.keys(), ...model.metadata.keys()])].filter(
    (key) => key.startsWith("tokenizer.") && key !== TOKENS,
  );
  const changed = keys.filter((key) => !equalValues(model.metadata.get(key), reference.metadata.get(key)));
  const eosCuts = [model, reference].some(
    ({ metadata }) =>
      metadata.get("tokenizer.ggml.add_eos_token") === true || !WITHOUT_EOS.has(metadata.get("tokenizer.ggml.model")),
  );
  const doubts = changed.filter((key) => !NEVER_CUTS.test(key) && (key !== EOS || eosCuts));
  return {
    differences: [...renamed, ...changed.map((key) => describe(key, model, reference))],
    doubts: renamed.length > 0 ? [TOKENS, ...doubts] : doubts,
  };
}

/** Tokens that one of both does not use may be named anew; returns that, in words. */
function compareTokens(
  model: Pick<Model, "path" | "metadata">,
  reference: Pick<Model, "path" | "metadata">,
  padding: boolean,
): string[] {
  const [own, theirs] = [listOf(model, TOKENS), listOf(reference, TOKENS)];
  const [ownTypes, theirTypes] = [listOf(model, TYPES), listOf(reference, TYPES)];
  const isUnused = (id: number) => ownTypes[id] === UNUSED || theirTypes[id] === UNUSED;
  const all = Array.from({ length: Math.max(own.length, theirs.length) }, (_, id) => id);
  const differing = all.filter((id) => own[id] !== theirs[id]);
  const wrong = differing.filter((id) => !isUnused(id));
  const [first] = wrong.length > 0 ? wrong : differing;
  if (first === undefined) return [];
  const what = `token ${first} is ${show(own[first])}, the reference's ${show(theirs[first])}`;
  if (wrong.length > 0) {
    throw new FormatError(
      model.path,
      `its tokens are not those of the reference ${reference.path}: ${what} (${wrong.length} differ; it has ${own.length}, the reference ${theirs.length}); evaluate it against the model it was made from`,
    );
  }
  if (own.length !== theirs.length && !padding) {
    throw new FormatError(
      model.path,
      `its vocabulary is filled up with unused tokens to ${own.length}, the reference's to ${theirs.length}: their probabilities can't be compared; evaluate it against a reference of as many tokens`,
    );
  }
  return [`${differing.length} unused tokens (${what})`];
}

function listOf({ metadata }: Pick<Model, "metadata">, key: string): readonly MetadataValue[] {
  const value = metadata.get(key);
  return Array.isArray(value) ? value : [];
}

function equalValues(a: MetadataValue | undefined, b: MetadataValue | undefined): boolean {
  if (!Array.isArray(a) || !Array.isArray(b)) return Object.is(a, b);
  return a.length === b.length && a.every((value, index) => equalValues(value, b[index]));
}

function describe(key: string, model: Pick<Model, "metadata">, reference: Pick<Model, "metadata">): string {
  const [own, theirs] = [show(model.metadata.get(key)), show(reference.metadata.get(key))];
  return own === theirs ? key : `${key} (${own}, the reference's ${theirs})`;
}

/** Characters of a value in a message. */
const SHOWN_CHARACTERS = 40;

function show(value: MetadataValue | undefined): string {
  if (value === undefined) return "absent";
  if (Array.isArray(value)) return `a list of ${value.length}`;
  if (typeof value !== "string") return String(value);
  return value.length > SHOWN_CHARACTERS ? "a text" : JSON.stringify(value);
}
