/** What measures probes on a machine: its own copy of what they degrade, in its own temporary folder. */
import { createReadStream } from "node:fs";
import { mkdtemp, open, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Bench } from "../../bench.ts";
import { isRunning, MACHINE, writeError } from "../../disk/aside-file.ts";
import { checkFreeSpace } from "../../disk/free-space.ts";
import { type EvaluationTokens, type LoadedModel, requireLibrary } from "../../engine/engine.ts";
import { createLogitsFile, logitsFileBytes, logitsOffset } from "../../engine/logits-file.ts";
import { AgainError, FileError, FormatError, IncompleteError } from "../../errors.ts";
import { writeReferenceLogits } from "../../evaluate/reference.ts";
import { chunksIn } from "../../evaluate/text.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import { InPlaceRefused, openInPlaceSite } from "../../probes/in-place-site.ts";
import { measureTask } from "../../probes/measure-task.ts";
import { keptLogitsMeter } from "../../probes/meter.ts";
import type { ProbeDesign } from "../../probes/probe-choice.ts";
import type { OpenSite } from "../../probes/probe-site.ts";
import { requireContent } from "../campaign.ts";
import { unitKey } from "../campaign-document.ts";
import { campaignTokens } from "../campaign-tokens.ts";
import { readLarge, writeLarge } from "../large-values.ts";
import { readParts } from "../parts.ts";
import type { CampaignPlace, Worker } from "../stage.ts";
import { campaignImatrix } from "./analysis.ts";
import { PROBES_UNIT, PROBES_VALUE, type ProbesValue, probesOptions, taskOf } from "./probe-choice.ts";

/** Tokens that a site is checked with. */
const CHECK_TOKENS = 64;

export async function openProbeWorker(place: CampaignPlace, design: ProbeDesign, bench: Bench): Promise<Worker> {
  const { source, directory, campaign } = place;
  const { signal } = bench;
  const { tokens } = await campaignTokens(place, probesOptions(campaign));
  const imatrix = await campaignImatrix(place);
  const scratch = await ownScratch().catch(elsewhere);
  let loaded: LoadedModel | undefined;
  let site: OpenSite | undefined;
  const reference = async (): Promise<LoadedModel> => {
    const { context } = tokens;
    const { engine, threads } = bench;
    const request = { model: source.path, context, threads, gpuLayers: 0, mapped: true, signal };
    loaded ??= await requireLibrary(engine).load(request);
    return loaded;
  };
  const probing = async (): Promise<OpenSite> => {
    if (site !== undefined) return site;
    // one model at a time
    await loaded?.close();
    loaded = undefined;
    const meter = keptLogitsMeter(({ vocabSize }) => gatherLogits(place, tokens, vocabSize, scratch, bench));
    const { analysis } = design;
    const { context } = tokens;
    const checkContext = Math.min(CHECK_TOKENS, context);
    const checkTokens = { context: checkContext, chunks: 1, ids: tokens.ids.slice(0, checkContext) };
    const textOf = async () => ({ probes: tokens, trial: { ...tokens, chunks: 0 }, source: "file" as const });
    const request = { analysis, imatrix, context, scratch, textOf, meter, checkTokens };
    site = await openInPlaceSite(source, request, bench);
    return site;
  };
  return {
    // all threads are at one batch
    width: 1,
    async measure(of): Promise<ProbesValue> {
      const unit = requireContent(PROBES_UNIT, of, "unit");
      if (unit.group === undefined) {
        const path = join(scratch, "block.logits");
        const block = chunksIn(tokens, unit);
        const model = await reference();
        await checkFreeSpace(path, scratch, logitsFileBytes({ ...block, vocabSize: model.vocabSize })).catch(elsewhere);
        await writeReferenceLogits(model, block, path, bench);
        await requireUnchanged(source, bench);
        return { logits: await writeLarge(directory, unitKey(campaign.id, of), createReadStream(path)) };
      }
      const task = taskOf(design, unit);
      const perChunk = await probing()
        .then((open) => measureTask(open, design.analysis, task, signal))
        .catch(elsewhere);
      await requireUnchanged(source, bench);
      return { perChunk };
    },
    async close() {
      await loaded?.close();
      await site?.close();
      await rm(scratch, { recursive: true, force: true });
    },
  };
}

/** That a machine has no room, or can't degrade in place, is no fault of a probe. */
function elsewhere(error: unknown): never {
  if (!(error instanceof InPlaceRefused || error instanceof FileError || error instanceof IncompleteError)) throw error;
  const reason = `no probe can be measured here: ${error.message}; the same command goes on where one can`;
  throw new AgainError(reason, { cause: error });
}

/** A folder of this process; those of processes of this machine that were killed are removed. */
async function ownScratch(): Promise<string> {
  const prefix = `prism-probes-${MACHINE}-`;
  for (const name of await readdir(tmpdir()).catch(() => [])) {
    const pid = name.startsWith(prefix) ? Number.parseInt(name.slice(prefix.length), 10) : Number.NaN;
    if (pid > 0 && !isRunning(pid)) await rm(join(tmpdir(), name), { recursive: true, force: true });
  }
  const path = join(tmpdir(), `${prefix}${process.pid}-`);
  return mkdtemp(path).catch((error: unknown) => {
    throw writeError(path, error);
  });
}

/** The reference's logits of all chunks in one file here, from the blocks of the campaign. */
async function gatherLogits(
  { directory, campaign }: CampaignPlace,
  tokens: EvaluationTokens,
  vocabSize: number,
  scratch: string,
  { progress }: Bench,
): Promise<string> {
  const path = join(scratch, "reference.logits");
  await checkFreeSpace(path, scratch, logitsFileBytes({ ...tokens, vocabSize }));
  await createLogitsFile(path, tokens, vocabSize);
  const parts = await readParts(directory, campaign.units, PROBES_VALUE, progress.note);
  const file = await open(path, "a");
  try {
    for (const { key, of } of campaign.units) {
      const { from, to } = requireContent(PROBES_UNIT, of, "unit");
      const shape = { context: tokens.context, chunks: to - from, vocabSize };
      const { logits } = (parts.get(key)?.value ?? {}) as ProbesValue;
      if (logits?.bytes !== logitsFileBytes(shape)) {
        throw new FormatError(
          directory,
          `the part of unit ${key} has no logits of ${to - from} chunks; delete parts/${key}.* and give prism shard run again`,
        );
      }
      let skip = logitsOffset(shape, 0);
      for await (const piece of readLarge(directory, key, logits)) {
        await file.writeFile(piece.subarray(Math.min(skip, piece.length)));
        skip = Math.max(0, skip - piece.length);
      }
    }
  } finally {
    await file.close();
  }
  return path;
}
