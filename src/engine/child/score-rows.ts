/**
 * One share of a decoded batch: rows `part`, `part + parts`, … of its scored rows. Runs on the child's main thread and
 * in its score workers, on the same memory: logits belong to llama.cpp, the rest is shared.
 */
import koffi from "koffi";
import {
  compareRow,
  encodeRow,
  negativeLogLikelihood,
  type RowComparison,
  type RowTop,
  recordLength,
} from "./log-softmax.ts";

/** What decoding some chunks left behind. */
export interface DecodedRows {
  /** Address of the logits: `sequences` × `rowsPerSequence` rows of `vocabSize` floats. */
  readonly logits: bigint;
  readonly vocabSize: number;
  readonly sequences: number;
  readonly rowsPerSequence: number;
  /** Rows of each sequence that are scored (the last position predicts nothing). */
  readonly scoredPerSequence: number;
  /** The true next token of each scored row. */
  readonly targets: Int32Array;
}

export interface ScoreTask extends DecodedRows {
  readonly mode: "nll" | "encode" | "compare";
  /** Records of the logits file, one per scored row: written by encode, read by compare. */
  readonly records?: Uint16Array;
  readonly nll: Float64Array;
  readonly referenceNll?: Float64Array;
  readonly kld?: Float64Array;
  readonly sameTop?: Uint8Array;
}

export function scoreRows(task: ScoreTask, part: number, parts: number): void {
  const { vocabSize, rowsPerSequence, scoredPerSequence, sequences, targets, records } = task;
  const length = recordLength(vocabSize);
  const logits = new Float32Array(koffi.view(task.logits, sequences * rowsPerSequence * vocabSize * 4));
  const top: RowTop = { max: 0, argmax: 0, min: 0, logSum: 0 };
  const out: RowComparison = { nll: 0, referenceNll: 0, kld: 0, sameTop: false };
  for (let row = part; row < sequences * scoredPerSequence; row += parts) {
    const sequence = Math.floor(row / scoredPerSequence);
    const start = (sequence * rowsPerSequence + (row % scoredPerSequence)) * vocabSize;
    const rowLogits = logits.subarray(start, start + vocabSize);
    const target = targets[row] as number;
    if (task.mode === "nll") {
      task.nll[row] = negativeLogLikelihood(rowLogits, target, top);
      continue;
    }
    const record = (records as Uint16Array).subarray(row * length, (row + 1) * length);
    if (task.mode === "encode") {
      task.nll[row] = encodeRow(rowLogits, target, record, top);
      continue;
    }
    compareRow(rowLogits, target, record, top, out);
    task.nll[row] = out.nll;
    (task.referenceNll as Float64Array)[row] = out.referenceNll;
    (task.kld as Float64Array)[row] = out.kld;
    (task.sameTop as Uint8Array)[row] = out.sameTop ? 1 : 0;
  }
}
