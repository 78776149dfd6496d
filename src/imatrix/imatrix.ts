/**
 * Importance vectors from a file of llama-imatrix: bytes → Imatrix, in the GGUF form and the older .dat form.
 * The values are, to the bit, those llama-quantize computes from the same file: `load_imatrix` of
 * tools/quantize/quantize.cpp and `common_imatrix_load` of common/imatrix-loader.cpp (llama.cpp v0.5.0). Where
 * llama-quantize would stop or read garbage (values that are not finite, sums without counts) a FormatError says so.
 */
import { requireLocal } from "../bytes/remote-name.ts";
import { hashFile } from "../disk/file-hash.ts";
import { type FileLimit, readHead, readWhole } from "../documents/whole-file.ts";
import { FormatError } from "../errors.ts";
import { GGUF_MAGIC } from "../gguf/header-bytes.ts";
import { openModel } from "../gguf/open.ts";
import { overrideText } from "../gguf/raw-text.ts";
import { readFirstDataset, readGgufImatrix } from "./gguf-form.ts";
import { readLegacyImatrix } from "./legacy-form.ts";

/** What both forms of the file hold. */
export interface ImatrixContent {
  /** Per tensor name: the mean square of each of its ne0 inputs, matrix (expert) after matrix. */
  readonly importance: ReadonlyMap<string, Float32Array>;
  /** Per tensor name: how many of its experts no token was routed to, of a dense tensor its parts; absent where none. */
  readonly unseen: ReadonlyMap<string, number>;
  /** The first text it was made from, as the file has it; empty where it names none. */
  readonly dataset: Uint8Array;
  readonly chunks: number;
}

export interface Imatrix {
  readonly path: string;
  /** SHA-256 of the file, hex. */
  readonly sha256: string;
  /** `quantize.imatrix.file`: the path as llama-quantize is given it, as far as it takes it (raw-text.ts). */
  readonly file: string;
  /** `quantize.imatrix.dataset`: the first dataset, likewise; "" where there is none (the key is not written then). */
  readonly dataset: string;
  /** `quantize.imatrix.entries_count`. */
  readonly entries: number;
  /** `quantize.imatrix.chunks_count`; 0 where unknown (the key is not written then). */
  readonly chunks: number;
  readonly importance: ReadonlyMap<string, Float32Array>;
  /** Experts no token was routed to, or parts of a dense tensor, per tensor name. */
  readonly unseen: ReadonlyMap<string, number>;
}

/** A vector has 4 bytes an input: all of a model of 44,000 experts are 1 GB. */
const FILE: FileLimit = { noun: "an imatrix", maxBytes: 2 ** 31, remedy: "give a file of llama-imatrix" };

/** Read an importance matrix in either form; a copy says under which name it is known. Throws FileError where it can't be read, FormatError where it is damaged. */
export async function readImatrix(path: string, known = path): Promise<Imatrix> {
  requireLocal(path);
  const { sha256, isGguf } = await fingerprint(path);
  const content = isGguf ? await readGguf(path) : readLegacyImatrix(await readWhole(path, FILE), path);
  checkValues(content.importance, path);
  return {
    path: known,
    sha256,
    file: overrideText(new TextEncoder().encode(known)),
    dataset: overrideText(content.dataset),
    entries: content.importance.size,
    chunks: content.chunks,
    importance: content.importance,
    unseen: content.unseen,
  };
}

async function fingerprint(path: string): Promise<{ sha256: string; isGguf: boolean }> {
  const magic = await readHead(path, GGUF_MAGIC.length, FILE);
  const isGguf = magic.length === GGUF_MAGIC.length && magic.every((byte, index) => byte === GGUF_MAGIC[index]);
  return { sha256: await hashFile(path), isGguf };
}

async function readGguf(path: string): Promise<ImatrixContent> {
  const file = await openModel(path);
  try {
    return { ...(await readGgufImatrix(file)), dataset: await readFirstDataset(file.model) };
  } finally {
    await file.close();
  }
}

function checkValues(importance: ReadonlyMap<string, Float32Array>, path: string): void {
  for (const [name, values] of importance) {
    const index = values.findIndex((value) => !(Number.isFinite(value) && value >= 0));
    if (index >= 0) {
      throw new FormatError(
        path,
        `imatrix: value ${index} of ${name} is ${values[index]}, expected a finite mean of squares; make the imatrix again`,
      );
    }
  }
}
