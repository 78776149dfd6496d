/**
 * Which model this is: by all of its content, so that caches and results can't be those of another model. The identity is
 * the root of a tree of SHA-256: over the header's hash and the hash of each tensor, which is one over the hashes of its
 * pieces; a part of a model can be proven alone, and pieces are hashed beside each other. A file is hashed once: what came
 * out is kept under its place on the disk, size and times.
 */
import { createHash, webcrypto } from "node:crypto";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import type { FileChange } from "../bytes/file-revision.ts";
import { createCacheBudget } from "../disk/cache-budget.ts";
import { cacheKey } from "../disk/cache-key.ts";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import { FormatError } from "../errors.ts";
import { createWorkQueue, type WorkQueue } from "../work-queue.ts";
import type { ModelFile, OpenModel, TensorInfo } from "./model.ts";

/** Bytes of a piece of a tensor, and pieces that are read and hashed at a time. */
const PIECE_BYTES = 2 ** 22;
const WIDTH = 4;

/** A file that was written to this shortly before it was read could be written again within one tick of its clock. */
const SETTLED_NS = 2_000_000_000n;
/** Bytes of all identities that are kept. */
const LIMIT_BYTES = 4e6;
/** Models from here on take a while: it is said. */
const LONG_BYTES = 2 ** 28;

const FORMAT = "prism identity 1";
const HEX = /^[0-9a-f]{64}$/;

type Desk = Pick<Bench, "cache" | "signal" | "progress">;

const known = new WeakMap<OpenModel, Promise<string>>();

/** The identity (hexadecimal digits), read once per open model and remembered between commands. */
export function identityOf(open: OpenModel, desk: Desk): Promise<string> {
  const found = known.get(open);
  if (found !== undefined) return found;
  const identity = remembered(open, desk);
  known.set(open, identity);
  identity.catch(() => known.delete(open));
  return identity;
}

/**
 * Throws FormatError where the model's files are not what they were when it was opened: called at the end of whatever
 * read them, before its result is believed. A file that was only touched (a link to it was made) is hashed again where
 * its identity is known.
 */
export async function requireUnchanged(open: OpenModel, desk: Desk): Promise<void> {
  const change = await open.change();
  if (change !== undefined) await requireSameContent(open, change, await known.get(open), desk);
}

async function requireSameContent(
  open: OpenModel,
  change: FileChange,
  identity: string | undefined,
  desk: Desk,
): Promise<void> {
  if (!change.isCertain && identity !== undefined) {
    desk.progress.note(`${change.path} was touched: hashing it again`);
    if ((await hashModel(open, desk)) === identity) return open.settle();
  }
  throw new FormatError(
    change.path,
    `${change.words} while PRISM worked with it: nothing was concluded from the mixture; leave the file alone and give the command again`,
  );
}

/** The hash of one tensor (32 bytes): SHA-256 over the SHA-256 of its pieces of 4 MiB. */
export async function hashTensor(
  file: Pick<ModelFile, "read">,
  tensor: TensorInfo,
  queue: WorkQueue = createWorkQueue(WIDTH),
  onBytes: (bytes: number) => void = () => undefined,
): Promise<Buffer> {
  const pieces: Promise<ArrayBuffer>[] = [];
  for (let start = 0; start < tensor.bytes; start += PIECE_BYTES) {
    const bytes = Math.min(PIECE_BYTES, tensor.bytes - start);
    const piece = queue.run(async () => {
      // hashed by a thread of Node's pool
      const hash = await webcrypto.subtle.digest("SHA-256", await file.read(tensor, start, bytes));
      onBytes(bytes);
      return hash;
    });
    pieces.push(piece);
  }
  const hash = createHash("sha256");
  for (const piece of await Promise.all(pieces)) hash.update(new Uint8Array(piece));
  return hash.digest();
}

async function hashModel(open: OpenModel, { signal, progress }: Omit<Desk, "cache">): Promise<string> {
  const { model } = open;
  const total = model.tensors.reduce((sum, { bytes }) => sum + bytes, 0);
  const queue = createWorkQueue(WIDTH, signal);
  let done = 0;
  const onBytes = (bytes: number) => {
    done += bytes;
    if (total >= LONG_BYTES) progress.steps("hashing the model", done, total);
  };
  const root = createHash("sha256").update(`${FORMAT}\n${model.headerHash}\n`);
  for (const tensor of model.tensors) root.update(await hashTensor(open, tensor, queue, onBytes));
  return root.digest("hex");
}

async function remembered(open: OpenModel, desk: Desk): Promise<string> {
  const { cache, progress } = desk;
  const { revision } = open;
  if (cache.dir === undefined || revision === undefined) return hashModel(open, desk);
  const root = join(cache.dir, "identities");
  const key = cacheKey([FORMAT, open.model.headerHash, revision]);
  const path = join(root, key.slice(0, 2), key.slice(2));
  const found = (await readSealed(path, progress.note))?.toString("latin1");
  if (found !== undefined && HEX.test(found)) return found;
  const begun = BigInt(Date.now()) * 1_000_000n;
  const identity = await hashModel(open, desk);
  // not requireUnchanged(), which would wait for the identity that is made here
  const change = await open.change();
  if (change !== undefined) await requireSameContent(open, change, identity, desk);
  if (isSettled(revision, begun)) await keep(root, path, identity).catch(() => undefined);
  return identity;
}

/** Whether all files rested for a while before they were read. */
function isSettled(revision: string, nowNs: bigint): boolean {
  return revision.split("; ").every((file) => nowNs - BigInt(/:(\d+)$/.exec(file)?.[1] ?? 0) > SETTLED_NS);
}

async function keep(root: string, path: string, identity: string): Promise<void> {
  await writeSealed(path, identity);
  await createCacheBudget(root, LIMIT_BYTES).makeRoom(identity.length);
}
