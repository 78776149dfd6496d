/**
 * Findings about the table by which a unigram tokenizer normalizes text (tokenizer.ggml.precompiled_charsmap): 4 bytes of
 * length, a double array of that length, and the replacements, each ended by a NUL. Follows `llm_tokenizer_ugm_session`
 * of src/llama-vocab.cpp (llama.cpp v0.5.0).
 */
import { formatCount } from "../bytes/source.ts";
import type { Finding } from "./finding-codes.ts";
import { arrayOf, CHARSMAP_KEY, type Vocabulary } from "./vocabulary.ts";

const LENGTH_BYTES = 4;
/** What llama.cpp tokenizes while it loads a model. */
const NEWLINE = 0x0a;
const LEAF = 1 << 8;

export function charsmapFindings({ kind, model }: Vocabulary): Finding[] {
  const values = kind === "ugm" ? arrayOf(model, CHARSMAP_KEY, ["i8", "u8"]) : undefined;
  if (values === undefined) return [];
  const bytes = Uint8Array.from(values, Number);
  const array = bytes.length < LENGTH_BYTES ? undefined : new DataView(bytes.buffer).getUint32(0, true);
  if (array === undefined || array + LENGTH_BYTES >= bytes.length) {
    const need = array === undefined ? "4 bytes at least" : `more than ${formatCount(array + LENGTH_BYTES)}`;
    return [damaged("error", `has ${formatCount(bytes.length)} bytes, expected ${need}: llama.cpp refuses the file`)];
  }
  const firsts = Array.from({ length: 255 }, (_, index) => index + 1);
  const broken = firsts.filter((byte) => endsOutside(bytes, array, byte));
  if (broken.length === 0) return [];
  return broken.includes(NEWLINE)
    ? [damaged("error", "leads out of itself for a newline, which llama.cpp looks up first: it refuses the file")]
    : [damaged("warning", `leads out of itself for ${broken.length} of 255 bytes: llama.cpp ends its process on them`)];
}

function damaged(severity: Finding["severity"], what: string): Finding {
  return {
    code: "charsmap-damaged",
    severity,
    message: `${CHARSMAP_KEY} ${what}`,
    remedy: "convert the model again with its own tokenizer files",
  };
}

/** Whether the lookup of a text of this byte leaves the table. */
function endsOutside(bytes: Uint8Array, arrayBytes: number, byte: number): boolean {
  const view = new DataView(bytes.buffer);
  const nodes = Math.floor(arrayBytes / 4);
  if (nodes === 0) return false;
  const node = (index: number) => (index < nodes ? view.getUint32(LENGTH_BYTES + 4 * index, true) : undefined);
  const base = (packed: number) => ((packed >>> 10) << ((packed & (1 << 9)) >>> 6)) >>> 0;
  const child = (base(node(0) ?? 0) ^ byte) >>> 0;
  const packed = node(child);
  if (packed === undefined) return true;
  // not a child of the root: nothing is replaced
  if ((packed & 0x800000ff) >>> 0 !== byte || (packed & LEAF) === 0) return false;
  const leaf = node((child ^ base(packed)) >>> 0);
  if (leaf === undefined) return true;
  const replacement = LENGTH_BYTES + arrayBytes + (leaf & 0x7fffffff);
  return replacement >= bytes.length || !bytes.subarray(replacement).includes(0);
}
