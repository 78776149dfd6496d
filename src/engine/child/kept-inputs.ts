/**
 * Sums of inputs in a file, written after each kind of text: a pass that was killed goes on with the next kind, and one over
 * the same text begins nowhere. The sums are 32-bit floats that are added to in the order of the text, so they come out the
 * same.
 */
import { readSealedParts, writeSealedParts } from "../../disk/sealed-parts.ts";
import type { FeedbackKernels } from "./feedback.ts";
import type { CollectedSums, InputMoments } from "./moments-collector.ts";

interface Kept {
  /** Kinds of text that were summed. */
  readonly kinds: number;
  readonly leaders: readonly (readonly [string, string])[];
  /** Key and number of inputs; the sums follow in this order. */
  readonly moments: readonly (readonly [string, number])[];
}

export class KeptInputs {
  readonly #path: string;
  readonly #kernels: FeedbackKernels;
  readonly #note: (text: string) => void;
  #isKept = true;

  constructor(path: string, kernels: FeedbackKernels, note: (text: string) => void) {
    this.#path = path;
    this.#kernels = kernels;
    this.#note = note;
  }

  /** The sums so far; of `kinds` kinds they are all. What is damaged is removed and said. */
  async read(kinds: number): Promise<{ kinds: number; sums: CollectedSums } | undefined> {
    const moments = new Map<string, InputMoments>();
    const partsOf = (kept: Kept) =>
      kept.moments.flatMap(([key, length]) => {
        const floats = this.#kernels.momentsLength(length);
        const sums = { length, fitted: new Float32Array(floats), held: new Float32Array(floats) };
        moments.set(key, sums);
        return bytesOf(sums);
      });
    const kept = await readSealedParts(this.#path, partsOf, this.#note);
    if (kept === undefined) return undefined;
    const all = kept.kinds === kinds;
    this.#note(`using sums of inputs from the cache${all ? "" : `, of ${kept.kinds} of ${kinds} kinds of text`}`);
    return { kinds: kept.kinds, sums: { moments, leaders: new Map(kept.leaders) } };
  }

  async write(kinds: number, { moments, leaders }: CollectedSums): Promise<void> {
    if (!this.#isKept) return;
    const sums = [...moments];
    const kept = { kinds, leaders: [...leaders], moments: sums.map(([key, { length }]) => [key, length] as const) };
    try {
      await writeSealedParts<Kept>(
        this.#path,
        kept,
        sums.flatMap(([, each]) => bytesOf(each)),
      );
    } catch (error) {
      // a full disk is no reason to stop
      this.#isKept = false;
      this.#note(`! the sums of inputs are not kept: ${(error as Error).message}`);
    }
  }
}

function bytesOf({ fitted, held }: InputMoments): Uint8Array[] {
  return [fitted, held].map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength));
}
