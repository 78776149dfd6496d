/**
 * The parts of remote files that were fetched before, on disk: a folder per file and version, a file per region. An aid
 * only: what is missing, damaged or can't be written is fetched again.
 */
import { createHash } from "node:crypto";
import { readFile, rename, rm, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { makeFolder } from "../../disk/aside-file.ts";
import type { CacheBudget } from "../../disk/cache-budget.ts";
import { PrismError } from "../../errors.ts";
import { BLOCK_BYTES, decodeRegion, encodeRegion, REGION_BLOCKS, type Region } from "./region-file.ts";

export interface RangeCacheOptions {
  /** The folder of all such caches; this one has its own in it. */
  readonly root: string;
  /** Keeps `root` within its size. */
  readonly budget: CacheBudget;
  /** What the bytes depend on: address and version. */
  readonly key: string;
  readonly totalBytes: number;
  /** Called once, where nothing more can be kept. */
  readonly onNote: (text: string) => void;
}

export interface Gap {
  readonly start: number;
  readonly end: number;
}

/** Bytes that wait to be written: a region's bands arrive one by one, and its file is written as a whole. */
const WAITING_BYTES = 16 << 20;

const REGION_BYTES = BLOCK_BYTES * REGION_BLOCKS;

export class RangeCache {
  readonly #key: string;
  readonly #folder: string;
  readonly #totalBytes: number;
  readonly #budget: CacheBudget;
  readonly #onNote: (text: string) => void;
  readonly #waiting = new Map<number, Region>();
  #waitingBytes = 0;
  #writing: Promise<void> = Promise.resolve();
  #asides = 0;
  #isBroken = false;

  constructor({ root, budget, key, totalBytes, onNote }: RangeCacheOptions) {
    this.#key = key;
    this.#folder = join(root, createHash("sha256").update(key).digest("hex").slice(0, 32));
    this.#totalBytes = totalBytes;
    this.#budget = budget;
    this.#onNote = onNote;
  }

  /**
   * Fill in what is here of the bytes from `start`, a multiple of the block, and give the gaps: whole blocks, neighbours
   * joined.
   */
  async fill(start: number, bytes: Uint8Array): Promise<Gap[]> {
    const gaps: { start: number; end: number }[] = [];
    const end = start + bytes.length;
    for (let index = Math.floor(start / REGION_BYTES); index * REGION_BYTES < end; index++) {
      const region = await this.#region(index);
      const regionStart = index * REGION_BYTES;
      const stop = Math.min(regionStart + REGION_BYTES, end);
      for (let offset = Math.max(regionStart, start); offset < stop; offset += BLOCK_BYTES) {
        const block = region.get((offset - regionStart) / BLOCK_BYTES);
        const blockEnd = Math.min(offset + BLOCK_BYTES, end);
        const last = gaps.at(-1);
        if (block !== undefined) bytes.set(block.subarray(0, blockEnd - offset), offset - start);
        else if (last?.end === offset) last.end = blockEnd;
        else gaps.push({ start: offset, end: blockEnd });
      }
    }
    return gaps;
  }

  /** Keep whole blocks from `start`. */
  async store(start: number, bytes: Uint8Array): Promise<void> {
    if (this.#isBroken) return;
    for (let offset = 0; offset < bytes.length; offset += BLOCK_BYTES) {
      const position = start + offset;
      const index = Math.floor(position / REGION_BYTES);
      const region = this.#waiting.get(index) ?? new Map<number, Uint8Array>();
      region.set((position - index * REGION_BYTES) / BLOCK_BYTES, bytes.slice(offset, offset + BLOCK_BYTES));
      this.#waiting.set(index, region);
    }
    this.#waitingBytes += bytes.length;
    if (this.#waitingBytes >= WAITING_BYTES) await this.flush();
  }

  /** Write what waits. */
  async flush(): Promise<void> {
    this.#writing = this.#writing.then(() => this.#write());
    await this.#writing;
  }

  async #write(): Promise<void> {
    const regions = [...this.#waiting];
    this.#waitingBytes = 0;
    try {
      if (regions.length > 0) await makeFolder(this.#folder);
      for (const [index, region] of regions) {
        const blocks = region.size;
        await this.#writeRegion(index, region);
        // what came in the meantime waits for the next time
        if (region.size === blocks) this.#waiting.delete(index);
      }
    } catch (error) {
      this.#isBroken = true;
      this.#waiting.clear();
      const reason = error instanceof PrismError ? error.message : (error as Error).message;
      this.#onNote(`nothing more of the remote model is kept in the cache: ${reason}`);
    }
  }

  async #writeRegion(index: number, region: Region): Promise<void> {
    const path = this.#path(index);
    const content = encodeRegion(new Map([...(await this.#read(index)), ...region]), this.#identity(index));
    await this.#budget.makeRoom(content.length);
    const aside = `${path}.${process.pid}.${this.#asides++}.part`;
    try {
      await writeFile(aside, content);
      await rename(aside, path);
    } catch (error) {
      await rm(aside, { force: true });
      throw error;
    }
  }

  async #region(index: number): Promise<Region> {
    const kept = await this.#read(index);
    const waiting = this.#waiting.get(index);
    return waiting === undefined ? kept : new Map([...kept, ...waiting]);
  }

  async #read(index: number): Promise<Region> {
    const path = this.#path(index);
    const bytes = await readFile(path).catch(() => undefined);
    if (bytes === undefined) return new Map();
    const start = index * REGION_BYTES;
    const lengthOf = (number: number) =>
      Math.max(0, Math.min(BLOCK_BYTES, this.#totalBytes - start - number * BLOCK_BYTES));
    const region = decodeRegion(bytes, this.#identity(index), lengthOf);
    if (region === undefined) {
      await rm(path, { force: true }).catch(() => undefined);
      return new Map();
    }
    const now = new Date();
    // the time of the last use; a cache that can only be read serves all the same
    await utimes(path, now, now).catch(() => undefined);
    return region;
  }

  #path(index: number): string {
    return join(this.#folder, `${index}.region`);
  }

  #identity(index: number): string {
    return `${this.#key}\n${this.#totalBytes}\n${index}`;
  }
}
