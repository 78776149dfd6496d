/** What a list of tokens holds, byte for byte as llama.cpp reads it; decoded strings have lost a BOM or bytes that are no UTF-8. */
import { present } from "../present.ts";

export interface TokenFaults {
  /** Tokens without any text, and the first of them. */
  readonly empty: number;
  readonly firstEmpty?: number;
  /** The first two places with the same text. */
  readonly repeated?: readonly [first: number, second: number];
}

export class TokenListScan {
  readonly #places = new Map<string, number>();
  #next = 0;
  #empty = 0;
  #firstEmpty: number | undefined;
  #repeated: readonly [number, number] | undefined;

  /** The next token. llama.cpp ends it at a NUL, and gives one without text a name. */
  add(text: Uint8Array): void {
    const place = this.#next++;
    const nul = text.indexOf(0);
    const length = nul < 0 ? text.length : nul;
    const token =
      length === 0 ? `[EMPTY_${place}]` : Buffer.from(text.buffer, text.byteOffset, length).toString("latin1");
    if (length === 0) {
      this.#empty++;
      this.#firstEmpty ??= place;
    }
    const before = this.#places.get(token);
    if (before === undefined) this.#places.set(token, place);
    else this.#repeated ??= [before, place];
  }

  /** Undefined: nothing is wrong. */
  get faults(): TokenFaults | undefined {
    if (this.#empty === 0 && this.#repeated === undefined) return undefined;
    return { empty: this.#empty, ...present({ firstEmpty: this.#firstEmpty, repeated: this.#repeated }) };
  }
}
