/** The chunks of an evaluation, and how they are cut: each pass in blocks of whole batches, as one machine decodes them. */
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import { TENSOR_TYPE } from "../../ggml/type-fields.ts";
import { blocksOf, type ChunkRange } from "../../imatrix/importance-blocks.ts";
import type { PlannedUnit } from "../stage.ts";

/** Blocks that a job has of each candidate, about: what one of them took is lost with its worker. */
const BLOCKS_PER_JOB = 4;

/** The text; text of kinds, which lies behind it; and the text again, with caches of other types. */
const PASSES = ["text", "kinds", "kv"] as const;
export type EvaluationPass = (typeof PASSES)[number];

export const EVALUATION_UNIT = t.object({
  candidate: t.count("Its number, from 0."),
  pass: t.oneOf(PASSES),
  from: t.count("The first of its chunks."),
  to: t.count("The first after them."),
});
export type EvaluationUnit = Content<typeof EVALUATION_UNIT>;

export const EVALUATION_OPTIONS = t.object({
  context: t.some("Tokens of a chunk."),
  chunks: t.some("Of the text."),
  kinds: t.optional(
    t.list(t.object({ kind: t.name(), chunks: t.some() }), "Whose chunks lie behind those of the text, in this order."),
  ),
  kv: t.optional(t.object({ k: TENSOR_TYPE, v: TENSOR_TYPE }, "Caches that the text is judged with too.")),
  chunksPerBatch: t.some("That are decoded together."),
  vocabSize: t.some("Tokens that every model has."),
  textSha256: t.text("Of the file that was cut into tokens."),
  devices: t.list(t.prose(), "What decodes, as the document says it."),
  notes: t.list(t.prose(), "What a person should know of the candidates."),
});
export type EvaluationOptions = Content<typeof EVALUATION_OPTIONS>;

/** Chunks of a pass among all. */
export function chunksOf({ chunks, kinds = [] }: EvaluationOptions, pass: EvaluationPass): ChunkRange {
  if (pass !== "kinds") return { from: 0, to: chunks };
  return { from: chunks, to: chunks + kinds.reduce((sum, kind) => sum + kind.chunks, 0) };
}

/** All chunks of the campaign. */
export function chunksInAll(options: EvaluationOptions): number {
  return chunksOf(options, "kinds").to;
}

/** What meets a block is together, for whoever decodes the reference for it. */
export function evaluationUnits(
  options: EvaluationOptions,
  { candidates, jobs, fileBytes }: { readonly candidates: number; readonly jobs: number; readonly fileBytes: number },
): PlannedUnit[] {
  const { context, chunksPerBatch, kv } = options;
  const batches = Math.ceil(chunksInAll(options) / chunksPerBatch);
  const perBlock = chunksPerBatch * Math.max(1, Math.floor(batches / (BLOCKS_PER_JOB * jobs)));
  const cut = (passes: readonly EvaluationPass[], { from: start, to: end }: ChunkRange) =>
    blocksOf(end - start, perBlock).flatMap(({ from, to }) =>
      Array.from({ length: candidates }, (_, candidate) => candidate).flatMap((candidate) =>
        passes.map((pass, index) => ({
          of: { candidate, pass, from: start + from, to: start + to } satisfies EvaluationUnit,
          // every token meets every weight, as a rule; the first of a block finds no logits of the reference
          cost: (to - from) * context * fileBytes * (candidate === 0 && index === 0 ? 2 : 1),
        })),
      ),
    );
  return [
    ...cut(kv === undefined ? ["text"] : ["text", "kv"], chunksOf(options, "text")),
    ...cut(["kinds"], chunksOf(options, "kinds")),
  ];
}
