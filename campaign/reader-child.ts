/**
 * A process that reads hostile input, case after case. It says in a file which case it is at, so that its parent sees
 * a hang or a crash and whose it was; what is no PrismError is told at once.
 */
import { mkdirSync, openSync, rmSync, writeSync } from "node:fs";
import { join } from "node:path";
import { PrismError } from "../src/errors.ts";
import { drawFor } from "./draw.ts";
import { BINARY_READERS, checkBinarySeeds } from "./read-binary.ts";
import { TEXT_READERS } from "./read-documents.ts";
import type { FailureKind } from "./result.ts";

export interface Batch {
  readonly seed: number;
  readonly from: number;
  readonly to: number;
  /** Every how many cases are this process's. */
  readonly step: number;
  readonly folder: string;
  /** Only readers whose name holds this. */
  readonly only?: string | undefined;
  /** A reader that is meant to fail: the campaign's own test. */
  readonly sabotage?: "throws" | "hangs" | "exits" | "swells" | undefined;
}

export type ReaderMessage =
  | { readonly kind: FailureKind; readonly index: number; readonly what: string }
  | { readonly counts: Readonly<Record<string, number>>; readonly peakBytes: number };

/** Bytes that one case may add to the peak of the process. */
const MAX_GROWTH_BYTES = 256 * 2 ** 20;

const SABOTAGE: Readonly<Record<NonNullable<Batch["sabotage"]>, () => void>> = {
  throws: () => (undefined as unknown as { x: () => void }).x(),
  hangs: () => {
    for (;;);
  },
  exits: () => process.exit(139),
  swells: () => void Buffer.alloc(2 * MAX_GROWTH_BYTES, 1),
};

process.once("message", (batch: Batch) => void runBatch(batch));

async function runBatch({ seed, from, to, step, folder, only = "", sabotage }: Batch): Promise<void> {
  const readers = [...BINARY_READERS, ...TEXT_READERS].filter(({ name }) => name.includes(only));
  const wheel = readers.flatMap((reader) => Array.from({ length: reader.weight }, () => reader));
  mkdirSync(folder, { recursive: true });
  await checkBinarySeeds(folder);
  const progress = openSync(join(folder, "..", `${from % step}.case`), "w");
  const counts: Record<string, number> = {};
  for (let index = from; index < to; index += step) {
    writeSync(progress, String(index).padEnd(12), 0);
    const draw = drawFor("readers", seed, index);
    const reader = draw.pick(wheel);
    const before = process.resourceUsage().maxRSS;
    const own = join(folder, "case");
    mkdirSync(own, { recursive: true });
    try {
      if (sabotage !== undefined && index === from) SABOTAGE[sabotage]();
      await reader.attack(draw, own);
      add(counts, `${reader.name}: read`);
    } catch (error) {
      if (error instanceof PrismError) add(counts, `${reader.name}: refused`);
      else send({ kind: "crash", index, what: `${reader.name}: ${(error as Error)?.stack ?? String(error)}` });
    }
    rmSync(own, { recursive: true, force: true });
    const grown = (process.resourceUsage().maxRSS - before) * 1024;
    // the first case also pays for what all of them share
    const isOwn = index !== from || sabotage === "swells";
    if (grown > MAX_GROWTH_BYTES && isOwn) {
      send({ kind: "memory", index, what: `${reader.name}: ${grown} bytes more` });
    }
  }
  if (({} as { polluted?: unknown }).polluted !== undefined)
    send({ kind: "crash", index: to, what: "Object.prototype was changed" });
  send({ counts, peakBytes: process.resourceUsage().maxRSS * 1024 });
  process.disconnect();
}

function add(counts: Record<string, number>, name: string): void {
  counts[name] = (counts[name] ?? 0) + 1;
}

function send(message: ReaderMessage): void {
  process.send?.(message);
}
