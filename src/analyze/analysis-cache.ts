/**
 * Analyses that were made before, and those that were interrupted. An entry is the analysis of one content of a model
 * with one imatrix and set of options; beside it, while it is being made, lies a journal with a line per measured tensor.
 * What can't be read is made again; what was unused longest goes when the folder is full.
 */
import { createHash } from "node:crypto";
import { appendFile, readFile, rm } from "node:fs/promises";
import { dirname, join } from "node:path";
import type { Bench } from "../bench.ts";
import { makeFolder, writeFileAside } from "../disk/aside-file.ts";
import { createCacheBudget } from "../disk/cache-budget.ts";
import { readSealed, writeSealed } from "../disk/sealed-file.ts";
import * as t from "../documents/fields.ts";
import { findViolation } from "../documents/violation.ts";
import { isQuantizedType, TENSOR_TYPES, type TensorType } from "../ggml/tensor-types.ts";
import type { OpenModel } from "../gguf/model.ts";
import { withDefaults } from "../present.ts";
import { PRISM_VERSION } from "../version.ts";
import { type Analysis, TENSOR_ANALYSIS } from "./analysis.ts";
import { readAnalysis } from "./analysis-document.ts";
import { ANALYZE_DEFAULTS, type AnalyzeRequest, analyze, type CompleteAnalyzeRequest } from "./analyze.ts";
import type { TensorMeasurement } from "./tensor-measurement.ts";

/** Counts changes of what is measured: an older entry is not used. */
export const METHOD = 3;

/** Bytes of all entries: some 200 models of 400 tensors. */
const LIMIT_BYTES = 200e6;

/** A line of a journal. */
export const MEASUREMENT = t.object({
  analysis: TENSOR_ANALYSIS,
  bytesRead: t.bytes(),
  sigmaMax: t.optional(t.amount()),
});

/** Analyze a model, or take up what the bench's cache holds of that. Throws as analyze() does. */
export async function analyzeCached(file: OpenModel, request: AnalyzeRequest, bench: Bench): Promise<Analysis> {
  const { cache, progress } = bench;
  if (cache.dir === undefined || file.revision === undefined) return analyze(file, request, bench);
  const root = join(cache.dir, "analyses");
  const key = await keyOf(file, file.revision, request, bench);
  const path = join(root, key.slice(0, 2), `${key.slice(2)}.json`);
  const found = await readEntry(path, file, bench);
  if (found !== undefined) {
    progress.note(`using the analysis of ${found.createdAt.slice(0, 10)} from the cache; --no-cache makes it anew`);
    return found;
  }
  const unkept = (error: unknown) => progress.note(`! the analysis is not kept: ${(error as Error).message}`);
  try {
    await makeFolder(dirname(path));
  } catch (error) {
    unkept(error);
    return analyze(file, request, bench);
  }
  const analysis = await analyzeWithJournal(`${path}.journal`, file, request, bench);
  await keep(root, path, analysis).catch(unkept);
  return analysis;
}

async function keep(root: string, path: string, analysis: Analysis): Promise<void> {
  const text = `${JSON.stringify(analysis)}\n`;
  await createCacheBudget(root, LIMIT_BYTES).makeRoom(text.length);
  await writeSealed(path, text);
  await rm(`${path}.journal`, { force: true });
}

/** A name for everything the measured values depend on. */
async function keyOf({ model }: OpenModel, revision: string, request: AnalyzeRequest, bench: Bench): Promise<string> {
  const { imatrix, targetRelativeSe, exactMetrics, exactDistortion, types }: CompleteAnalyzeRequest = withDefaults(
    ANALYZE_DEFAULTS,
    request,
  );
  const { name } = await bench.backend();
  const asked = [METHOD, PRISM_VERSION, model.headerHash, revision, imatrix?.sha256, imatrix?.path];
  const how = [bench.engine.info.version, name, bench.seed, targetRelativeSe, exactMetrics, exactDistortion];
  return createHash("sha256")
    .update(JSON.stringify([...asked, ...how, ...besides(types)]))
    .digest("hex")
    .slice(0, 32);
}

/** Of the types that are asked for, those that are not measured by themselves in every tensor. */
function besides(types: readonly TensorType[] = []): readonly TensorType[] {
  return types.filter((type) => {
    const { candidate } = TENSOR_TYPES[type];
    return isQuantizedType(type) && candidate !== 256 && candidate !== "any";
  });
}

/** The entry, saying where the model lies now. */
async function readEntry(path: string, { model }: OpenModel, { progress }: Bench): Promise<Analysis | undefined> {
  const content = await readSealed(path, progress.note);
  if (content === undefined) return undefined;
  try {
    const analysis = readAnalysis(content.toString("utf8"), path);
    return {
      ...analysis,
      model: { ...analysis.model, path: model.path, shards: model.shards.map((shard) => shard.path) },
    };
  } catch {
    await rm(path, { force: true });
    return undefined;
  }
}

async function analyzeWithJournal(
  path: string,
  file: OpenModel,
  request: AnalyzeRequest,
  bench: Bench,
): Promise<Analysis> {
  const { progress } = bench;
  const finished = await readJournal(path);
  if (finished.size > 0) progress.note(`going on after ${finished.size} tensors of an analysis that was interrupted`);
  let isKept = true;
  return analyze(file, request, bench, {
    finished,
    async onMeasured(measurement) {
      if (!isKept) return;
      // a full disk is no reason to stop measuring
      await appendFile(path, sealedLine(JSON.stringify(measurement))).catch((error: Error) => {
        isKept = false;
        progress.note(`! an interruption would begin anew: ${error.message}`);
      });
    },
  });
}

/** Hexadecimal digits of a line's checksum. */
const LINE_HASH = 16;

export function sealedLine(json: string): string {
  return `${createHash("sha256").update(json).digest("hex").slice(0, LINE_HASH)} ${json}\n`;
}

/** What a journal holds, up to the first line that was cut off; the rest is cut off too, so that it can be added to. */
async function readJournal(path: string): Promise<Map<string, TensorMeasurement>> {
  const text = await readFile(path, "utf8").catch(() => "");
  const finished = new Map<string, TensorMeasurement>();
  let whole = "";
  for (const line of text.split("\n").slice(0, -1)) {
    const measurement = parseMeasurement(line);
    if (measurement === undefined) break;
    finished.set(measurement.analysis.name, measurement);
    whole += `${line}\n`;
  }
  if (whole !== text) await writeFileAside(path, whole);
  return finished;
}

function parseMeasurement(line: string): TensorMeasurement | undefined {
  try {
    const json = line.slice(LINE_HASH + 1);
    if (sealedLine(json) !== `${line}\n`) return undefined;
    const measurement = JSON.parse(json) as TensorMeasurement;
    const isWhole = findViolation(MEASUREMENT, measurement) === undefined;
    return isWhole && measurement.analysis.distortion !== undefined ? measurement : undefined;
  } catch {
    return undefined;
  }
}
