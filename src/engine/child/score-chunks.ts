/**
 * Scores chunks batch by batch: alone, into a logits file, or against a reference, whose records come from a file or
 * from another loaded model that decodes the same chunks.
 */
import type { LoadedModelHandle } from "./loaded-model.ts";
import { recordLength } from "./log-softmax.ts";
import { type RecordsPlace, readRecords, writeRecords } from "./logits-records.ts";
import type { ScorePool } from "./score-pool.ts";

export interface ScoreRequest {
  readonly context: number;
  /** The chunks to score, whole contexts of ids. */
  readonly ids: Int32Array;
  readonly writeLogits?: RecordsPlace;
  readonly readLogits?: RecordsPlace;
}

export interface ScoreReply {
  readonly nll: Float64Array;
  readonly referenceNll?: Float64Array;
  readonly kld?: Float64Array;
  readonly sameTop?: Uint8Array;
}

interface ScoreJob {
  readonly model: LoadedModelHandle;
  readonly reference: LoadedModelHandle | undefined;
  readonly pool: ScorePool;
  readonly request: ScoreRequest;
}

/** Score all chunks of the request. Throws an Error where two models' vocabularies differ or a file fails. */
export async function scoreChunks(job: ScoreJob): Promise<ScoreReply> {
  const { model, reference, request } = job;
  const { context, ids } = request;
  if (reference !== undefined && reference.vocabSize !== model.vocabSize) {
    throw new Error(`vocabularies of ${model.vocabSize} and ${reference.vocabSize} tokens can't be compared`);
  }
  const scored = context - 1 - Math.floor(context / 2);
  const tokens = (ids.length / context) * scored;
  const reply: ScoreReply = {
    nll: sharedDoubles(tokens),
    ...(reference === undefined && request.readLogits === undefined
      ? {}
      : { referenceNll: sharedDoubles(tokens), kld: sharedDoubles(tokens), sameTop: sharedBytes(tokens) }),
  };
  const perBatch = model.chunksPerBatch(context) * context;
  for (let from = 0; from < ids.length; from += perBatch) {
    await scoreBatch(job, ids.subarray(from, from + perBatch), (from / context) * scored, reply);
  }
  return reply;
}

/** Score one batch of chunks into its place in the reply, `at` tokens from the beginning. */
async function scoreBatch(job: ScoreJob, ids: Int32Array, at: number, reply: ScoreReply): Promise<void> {
  const { model, pool, request } = job;
  const { context, writeLogits } = request;
  const tokens = (ids.length / context) * (context - 1 - Math.floor(context / 2));
  const nll = reply.nll.subarray(at, at + tokens);
  const length = recordLength(model.vocabSize);
  const skipBytes = at * length * Uint16Array.BYTES_PER_ELEMENT;
  if (writeLogits !== undefined) {
    const records = sharedRecords(tokens * length);
    await pool.run({ ...model.decodeChunks(ids, context), mode: "encode", nll, records });
    writeRecords(writeLogits, skipBytes, records);
    return;
  }
  const { referenceNll, kld, sameTop } = reply;
  if (referenceNll === undefined || kld === undefined || sameTop === undefined) {
    await pool.run({ ...model.decodeChunks(ids, context), mode: "nll", nll });
    return;
  }
  const records = sharedRecords(tokens * length);
  await fillReferenceRecords(job, ids, skipBytes, records);
  await pool.run({
    ...model.decodeChunks(ids, context),
    mode: "compare",
    nll,
    records,
    referenceNll: referenceNll.subarray(at, at + tokens),
    kld: kld.subarray(at, at + tokens),
    sameTop: sameTop.subarray(at, at + tokens),
  });
}

async function fillReferenceRecords(
  { reference, pool, request }: ScoreJob,
  ids: Int32Array,
  skipBytes: number,
  records: Uint16Array,
): Promise<void> {
  if (request.readLogits !== undefined) readRecords(request.readLogits, skipBytes, records);
  if (reference === undefined) return;
  const nll = sharedDoubles(records.length / recordLength(reference.vocabSize));
  await pool.run({ ...reference.decodeChunks(ids, request.context), mode: "encode", nll, records });
}

function sharedDoubles(length: number): Float64Array {
  return new Float64Array(new SharedArrayBuffer(length * Float64Array.BYTES_PER_ELEMENT));
}

function sharedRecords(length: number): Uint16Array {
  return new Uint16Array(new SharedArrayBuffer(length * Uint16Array.BYTES_PER_ELEMENT));
}

function sharedBytes(length: number): Uint8Array {
  return new Uint8Array(new SharedArrayBuffer(length));
}
