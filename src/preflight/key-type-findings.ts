/** Findings about how the keys of a tokenizer are stored: llama.cpp refuses an i32 where it wants a u32. */
import { type StoredAs, TOKENIZER_KEYS, TOKENIZER_MODELS, VOCAB_SIZE_ARCHITECTURES } from "../ggml/tokenizer-facts.ts";
import type { NewKeyValue } from "../gguf/header-bytes.ts";
import type { KeyType, MetadataValue, Model } from "../gguf/model.ts";
import type { Finding } from "./finding-codes.ts";
import { storedAs, storedAsList } from "./stored-as.ts";
import { TOKENIZER_KEY } from "./vocabulary.ts";

/** Keys in a message. */
const NAMED = 3;

export interface MistypedKey {
  readonly key: string;
  readonly stored: string;
  readonly wanted: string;
  /** The same value as llama.cpp reads it; absent where it has none, as -1 has none as a u32. */
  readonly mended?: NewKeyValue;
}

/** The keys that llama.cpp refuses for how they are stored. */
export function mistypedKeys(model: Model): MistypedKey[] {
  return [...wantedTypes(model)].flatMap(([key, { type: wanted }]) => {
    const stored = model.keyTypes.get(key);
    const value = model.metadata.get(key);
    if (stored === undefined || value === undefined || isStoredAs(stored, wanted)) return [];
    const mended = mend(key, value, wanted);
    return [
      {
        key,
        stored: stored.type === "array" ? `array of ${stored.element}` : stored.type,
        wanted: typeof wanted === "string" ? wanted : `array of ${wanted.join(" or ")}`,
        ...(mended === undefined ? {} : { mended }),
      },
    ];
  });
}

export function keyTypeFindings(model: Model): Finding[] {
  const keys = mistypedKeys(model);
  if (keys.length === 0) return [];
  const shown = keys
    .slice(0, NAMED)
    .map(({ key, stored, wanted }) => `${key} is stored as ${stored}, not as ${wanted}`);
  const more = keys.length > NAMED ? `, and ${keys.length - NAMED} more keys` : "";
  return [
    {
      code: "tokenizer-key-type",
      severity: "error",
      message: `${shown.join(", ")}${more}: llama.cpp refuses the file`,
      remedy: keys.every(({ mended }) => mended !== undefined)
        ? "prism repair stores the same values as llama.cpp reads them"
        : "convert the model again; prism repair changes only what has the same value in the other type",
    },
  ];
}

function wantedTypes({ arch, metadata }: Model): Map<string, StoredAs> {
  const kind = TOKENIZER_MODELS.get(String(metadata.get(TOKENIZER_KEY)));
  const wanted = [...TOKENIZER_KEYS].filter(
    ([, stored]) => stored.always || (kind !== "none" && (stored.kind === undefined || stored.kind === kind)),
  );
  if (kind === "none" || VOCAB_SIZE_ARCHITECTURES.has(arch)) wanted.push([`${arch}.vocab_size`, { type: "u32" }]);
  return new Map(wanted);
}

function isStoredAs(stored: KeyType, wanted: StoredAs["type"]): boolean {
  if (typeof wanted === "string") return stored.type === wanted;
  return stored.element !== undefined && (wanted as readonly string[]).includes(stored.element);
}

function mend(key: string, value: MetadataValue, wanted: StoredAs["type"]): NewKeyValue | undefined {
  if (typeof wanted === "string") return storedAs(key, value, wanted);
  return wanted.includes("i32") ? storedAsList(key, value, "i32") : undefined;
}
