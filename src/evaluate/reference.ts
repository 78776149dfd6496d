/**
 * The reference side of a comparison. Its logits are kept in a file of llama.cpp's own format where that fits, so that
 * every further model costs one pass; otherwise reference and model are decoded chunk by chunk side by side.
 */
import { stat, utimes } from "node:fs/promises";
import { join } from "node:path";
import type { Bench } from "../bench.ts";
import { makeFolder, writeAside } from "../disk/aside-file.ts";
import { makeRoom } from "../disk/cache-budget.ts";
import { cacheKey } from "../disk/cache-key.ts";
import type { EvaluationTokens, LoadedModel, ScoreOptions } from "../engine/engine.ts";
import { createLogitsFile, logitsFileBytes } from "../engine/logits-file.ts";
import { identityOf, requireUnchanged } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { areWholeLogits, sealLogits, sealOfLogits } from "./logits-seal.ts";

/** What ScoreOptions.reference takes. */
export type ReferenceLogits = NonNullable<ScoreOptions["reference"]>;

/** A reference that need not be loaded where its logits are in the cache. */
export interface UnloadedReference {
  readonly open: OpenModel;
  readonly vocabSize: number;
  load(): Promise<LoadedModel>;
  /** What its logits are kept under: of its content. */
  identity(): Promise<string>;
}

/** The reference's logits for these tokens: the cached file, or `loaded`, which is the reference, itself. */
export function referenceLogits(
  loaded: LoadedModel,
  tokens: EvaluationTokens,
  reference: OpenModel,
  bench: Bench,
): Promise<ReferenceLogits> {
  const { vocabSize } = loaded;
  const identity = () => identityOf(reference, bench);
  return logitsOf({ open: reference, vocabSize, load: async () => loaded, identity }, tokens, bench);
}

/** The same of a reference that is loaded only where it has to be decoded. */
export async function logitsOf(
  { open, vocabSize, load, identity }: UnloadedReference,
  tokens: EvaluationTokens,
  bench: Bench,
): Promise<ReferenceLogits> {
  const { cache, signal, progress } = bench;
  if (cache.dir === undefined) return { loaded: await load() };
  const dir = join(cache.dir, "logits");
  await makeFolder(dir);
  const path = join(dir, `${logitsKey(tokens, await identity(), bench)}.logits`);
  if (await areWholeLogits(path, tokens, vocabSize, bench)) return { logits: path };
  const loaded = await load();
  if (!(await makeRoom(dir, logitsFileBytes({ ...tokens, vocabSize }), cache.logitsLimitBytes))) return { loaded };
  await writeAside(path, async (aside) => {
    await writeReferenceLogits(loaded, tokens, aside, { signal, progress });
    await requireUnchanged(open, bench);
    await sealLogits(path, aside, signal);
  });
  return { logits: path };
}

/** Write the file of a reference's logits. */
export async function writeReferenceLogits(
  loaded: LoadedModel,
  tokens: EvaluationTokens,
  path: string,
  { signal, progress }: Pick<Bench, "signal" | "progress">,
): Promise<void> {
  await createLogitsFile(path, tokens, loaded.vocabSize);
  for (let first = 0; first < tokens.chunks; first += loaded.chunksPerBatch) {
    const count = Math.min(loaded.chunksPerBatch, tokens.chunks - first);
    await loaded.score({ tokens, first, count, writeLogits: path, signal });
    progress.steps("reference", first + count, tokens.chunks);
  }
}

const TOUCH_EVERY_MS = 60_000;

/** Mark a logits file as used until the returned function is called, so that no other evaluation deletes it. */
export function keepInUse(path: string): () => void {
  const touch = () => {
    for (const file of [path, sealOfLogits(path)]) {
      // Not the time of writing, by which a change is known. Deleted all the same (by hand): reading it says so.
      stat(file)
        .then(({ mtime }) => utimes(file, new Date(), mtime))
        .catch(() => undefined);
    }
  };
  touch();
  const timer = setInterval(touch, TOUCH_EVERY_MS);
  timer.unref();
  return () => clearInterval(timer);
}

function logitsKey(tokens: EvaluationTokens, identity: string, { engine, gpuLayers }: Bench): string {
  const { version, devices } = engine.info;
  const ids = Buffer.from(tokens.ids.buffer, tokens.ids.byteOffset, tokens.ids.byteLength).toString("base64");
  return cacheKey(["logits/2", identity, version, devices.join(), gpuLayers, tokens.context, tokens.chunks, ids]);
}
