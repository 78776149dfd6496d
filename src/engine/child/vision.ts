/** Prompts with images, in a model's own context: libmtmd encodes an image with the projector and decodes it between texts. */
import koffi from "koffi";
import type { PromptPart } from "../engine.ts";
import type { Pointer } from "./llama-library.ts";
import type { MtmdLibrary } from "./mtmd-library.ts";

/** struct mtmd_input_text: the address of the text, its bytes, add_special, parse_special. */
const TEXT_BYTES = 24;
const SPECIAL_AT = 17;

/** A prompt as libmtmd holds it. */
export interface TokenizedPrompt {
  readonly tokens: number;
  /** Decode it into an empty context that has room for it, whose last position is then asked for. */
  decode(context: Pointer, batchTokens: number): void;
  free(): void;
}

/** Of an image, not of the engine. */
export class ImageError extends Error {}

export class Vision {
  readonly projector: string;
  readonly #library: MtmdLibrary;
  readonly #vision: Pointer;

  /** Throws an Error where the projector is none, or another model's. */
  constructor(
    library: MtmdLibrary,
    { projector, model, threads, gpu }: { projector: string; model: Pointer; threads: number; gpu: boolean },
  ) {
    this.#library = library;
    this.projector = projector;
    const params = { ...library.defaults(), use_gpu: gpu, n_threads: threads, print_timings: false, warmup: false };
    const vision = library.init(projector, model, params);
    if (vision === null) throw new Error(`llama.cpp could not load ${projector} as the projector of this model`);
    this.#vision = vision;
    if (library.supportsVision(vision)) return;
    this.close();
    throw new Error(`${projector} reads no images`);
  }

  close(): void {
    this.#library.free(this.#vision);
  }

  /** Throws ImageError for what is no image, and for one that the projector can't take. */
  tokenize(parts: readonly PromptPart[]): TokenizedPrompt {
    const library = this.#library;
    const bitmaps: Pointer[] = [];
    const chunks = library.newChunks();
    const free = () => {
      library.freeChunks(chunks);
      for (const bitmap of bitmaps) library.freeImage(bitmap);
    };
    try {
      // what addresses point at must outlive the call
      const held: (Uint8Array | BigUint64Array)[] = [];
      const pointTo = <Memory extends Uint8Array | BigUint64Array>(memory: Memory): bigint => {
        held.push(memory);
        return koffi.address(memory) as bigint;
      };
      const addresses = parts.map((part) => {
        if ("image" in part) {
          const bitmap = this.#readImage(part.image);
          bitmaps.push(bitmap);
          return pointTo(BigUint64Array.of(0n, bitmap));
        }
        return pointTo(BigUint64Array.of(pointTo(inputText(part, pointTo)), 0n));
      });
      const code = library.tokenize(this.#vision, chunks, BigUint64Array.from(addresses), parts.length, false);
      if (code !== 0) throw new ImageError(`libmtmd could not prepare its image (${code})`);
    } catch (error) {
      free();
      throw error;
    }
    return {
      tokens: Number(library.countTokens(chunks)),
      decode: (context, batchTokens) => {
        const code = library.decode(this.#vision, context, chunks, 0, 0, batchTokens, true, new Int32Array(1));
        if (code !== 0) throw new Error(`libmtmd could not decode the prompt (${code})`);
      },
      free,
    };
  }

  #readImage(bytes: Uint8Array): Pointer {
    const { bitmap } = this.#library.readImage(this.#vision, bytes, bytes.length, false, this.#library.imageDefaults());
    if (bitmap === null) throw new ImageError("its image could not be decoded");
    return bitmap;
  }
}

function inputText(
  { text, special }: Extract<PromptPart, { text: string }>,
  pointTo: (memory: Uint8Array) => bigint,
): Uint8Array {
  const bytes = new TextEncoder().encode(text);
  const struct = new DataView(new ArrayBuffer(TEXT_BYTES));
  struct.setBigUint64(0, pointTo(bytes), true);
  struct.setBigUint64(8, BigInt(bytes.length), true);
  struct.setUint8(SPECIAL_AT, special ? 1 : 0);
  return new Uint8Array(struct.buffer);
}
