/**
 * Sampling that was interrupted, on disk: what was drawn so far, and the model's memory of it (llama_state_save_file), so
 * that it goes on where it was and draws what it would have drawn. Decoding the text again would not do: in other batches
 * sums round in another way, and soon another token is drawn.
 *
 * Two places take turns, since the state that stands is whole only until it is written over; the sealed file beside them
 * says which one holds, with its SHA-256. It is written now and then: a small model is done before the first time.
 */
import { renameSync } from "node:fs";
import { rm } from "node:fs/promises";
import { dirname } from "node:path";
import { asideName, makeFolder, removeAbandoned } from "../../disk/aside-file.ts";
import { makeRoom } from "../../disk/cache-budget.ts";
import { hashFile } from "../../disk/file-hash.ts";
import { readSealed, writeSealed } from "../../disk/sealed-file.ts";
import type { SamplingFolder } from "../engine.ts";
import type { Decoder } from "./decoder.ts";

/** Time between two writings, and how much longer it is at least than a writing. */
const EVERY_MS = 20_000;
const TIMES_LONGER = 20;

export interface SamplingState {
  /** Tokens of each sequence that stand. */
  readonly position: number;
  /** Of all sequences, whole length. */
  readonly ids: Int32Array;
  /** The token of each sequence that is to be decoded next. */
  readonly current: Int32Array;
}

/** Int32 before the ids: position, which state, and the 64 digits of its SHA-256. */
const HEAD = 2 + 64;

export class KeptSampling {
  readonly #folder: SamplingFolder;
  readonly #decoder: Decoder;
  readonly #note: (text: string) => void;
  #turn = 0;
  #isKept = true;
  #nextMs: number;
  #everyMs: number;

  constructor(folder: SamplingFolder, decoder: Decoder, note: (text: string) => void) {
    this.#folder = folder;
    this.#decoder = decoder;
    this.#note = note;
    this.#everyMs = folder.everyMs ?? EVERY_MS;
    this.#nextMs = performance.now() + this.#everyMs;
  }

  /** Put the decoder, started with the same shape, where sampling was interrupted; undefined: it begins. */
  async resume(sequences: number, length: number): Promise<SamplingState | undefined> {
    const kept = await readSealed(this.#folder.path, this.#note);
    if (kept === undefined || kept.length !== 4 * (HEAD + sequences * (length + 1))) return undefined;
    const numbers = new Int32Array(kept.buffer.slice(kept.byteOffset, kept.byteOffset + kept.length));
    const [position = 0, turn = 0] = numbers;
    const sha256 = String.fromCharCode(...numbers.subarray(2, HEAD));
    const path = this.#statePath(turn);
    if ((await hashFile(path).catch(() => undefined)) !== sha256 || !this.#decoder.loadState(path)) return undefined;
    this.#turn = 1 - turn;
    const ids = numbers.slice(HEAD, HEAD + sequences * length);
    this.#note(`going on with sampled text after ${position} of ${length} tokens of each sequence`);
    return { position, ids, current: numbers.slice(HEAD + sequences * length) };
  }

  /** Keep it, if it is time. */
  async keep({ position, ids, current }: SamplingState): Promise<void> {
    const startMs = performance.now();
    if (!this.#isKept || startMs < this.#nextMs) return;
    try {
      this.#isKept = await this.#hasRoom();
      if (!this.#isKept) return;
      const path = this.#statePath(this.#turn);
      await removeAbandoned(path);
      const aside = asideName(path);
      if (!this.#decoder.saveState(aside)) throw new Error("llama.cpp could not write its state");
      renameSync(aside, path);
      const sha256 = Int32Array.from(await hashFile(path), (digit) => digit.charCodeAt(0));
      const numbers = Int32Array.of(position, this.#turn, ...sha256, ...ids, ...current);
      await writeSealed(this.#folder.path, new Uint8Array(numbers.buffer));
      this.#turn = 1 - this.#turn;
    } catch (error) {
      // a full disk is no reason to stop
      this.#isKept = false;
      this.#note(`! sampled text is not kept on the way: ${(error as Error).message}`);
    }
    const nowMs = performance.now();
    this.#nextMs = nowMs + Math.max(this.#everyMs, TIMES_LONGER * (nowMs - startMs));
    if (this.#folder.everyMs !== undefined) this.#nextMs = nowMs + this.#everyMs;
  }

  /** All of it was drawn. */
  async finish(): Promise<void> {
    for (const path of [this.#folder.path, this.#statePath(0), this.#statePath(1)]) await rm(path, { force: true });
  }

  #statePath(turn: number): string {
    return `${this.#folder.path}.state-${turn}`;
  }

  async #hasRoom(): Promise<boolean> {
    const dir = dirname(this.#folder.path);
    await makeFolder(dir);
    // the one that stands is not given up for it
    return makeRoom(dir, this.#decoder.stateBytes(), this.#folder.limitBytes);
  }
}
