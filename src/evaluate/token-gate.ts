/**
 * Holds models to the tokens of their reference before they are scored: by the headers and, where these leave it open how
 * a text is cut, by the ids that each of both makes of the text itself.
 */
import type { Bench } from "../bench.ts";
import { FormatError } from "../errors.ts";
import type { OpenModel } from "../gguf/model.ts";
import { compareVocabularies, type VocabularyRules } from "../intake/same-vocabulary.ts";
import { loadModel } from "./load-model.ts";

/** What is compared token by token needs as many of them. */
export const SAME_COUNT: VocabularyRules = { padding: false };

type Named = Pick<OpenModel, "path" | "model">;

/** A model that is loaded to cut texts. */
export interface TextCutter {
  cut(texts: readonly string[]): Promise<readonly Int32Array[]>;
  close(): Promise<void>;
}

export interface CutTexts {
  /** What is scored. */
  readonly texts: readonly string[];
  readonly load: (model: Named) => Promise<TextCutter>;
}

/** Loads what models cut a text with, as it is cut where it is scored: their vocabularies. */
export function textCutter(context: number, bench: Bench): CutTexts["load"] {
  return async ({ path }) => {
    const loaded = await loadModel(path, { context, vocabOnly: true }, { ...bench, gpuLayers: 0 });
    return { cut: (texts) => Promise.all(texts.map((text) => loaded.tokenize(text))), close: () => loaded.close() };
  };
}

export interface TokenGate {
  /** What differs without harm; grows with the models that are admitted. */
  readonly notes: readonly string[];
  /** Throws FormatError for a model whose tokens are not the reference's. */
  admit(model: Named): Promise<void>;
}

/** `by`: what decides in doubt; a string where nothing can, which is then what is said of it, or why it is refused. */
export function openTokenGate(
  reference: Named,
  by: CutTexts | { readonly refuse: string } | { readonly note: string },
  rules: VocabularyRules,
): TokenGate {
  const notes: string[] = [];
  const admitted = new Set([reference.path]);
  return {
    notes,
    async admit(model) {
      if (admitted.has(model.path)) return;
      const { differences, doubts } = compareVocabularies(model.model, reference.model, rules);
      let outcome = "no text is cut otherwise by that";
      if (doubts.length > 0) {
        if ("refuse" in by) {
          throw new FormatError(
            model.path,
            `differs from the reference ${reference.path} in ${doubts.join(", ")}: ${by.refuse}`,
          );
        }
        if ("load" in by) await requireEqualIds(model, reference, by);
        outcome = "note" in by ? by.note : "the text has the same tokens all the same";
      }
      if (differences.length > 0) {
        notes.push(`${model.path} differs from its reference in ${differences.join("; ")}: ${outcome}`);
      }
      admitted.add(model.path);
    },
  };
}

async function requireEqualIds(model: Named, reference: Named, { texts, load }: CutTexts): Promise<void> {
  const idsOf = async (named: Named) => {
    const cutter = await load(named);
    return cutter.cut(texts).finally(() => cutter.close());
  };
  const expected = await idsOf(reference);
  const own = await idsOf(model);
  for (const [index, ids] of expected.entries()) {
    const found = own[index] ?? new Int32Array();
    const length = Math.max(ids.length, found.length);
    for (let place = 0; place < length; place++) {
      if (ids[place] === found[place]) continue;
      throw new FormatError(
        model.path,
        `cuts the text otherwise than the reference ${reference.path}: token ${place + 1} of it is ${found[place] ?? "none"}, the reference's ${ids[place] ?? "none"}; its tokenizer.* keys are not those of the model it is compared with`,
      );
    }
  }
}
