/** score-rows.ts in C++: the same records bit for bit, the same scores to the last digits. */
import { type NativeLibrary, STATUS } from "../../kernels/native-library.ts";
import type { ScoreTask } from "./score-rows.ts";

/** enum ScoreMode of native-kernels/src/score-rows.h. */
const MODES: Readonly<Record<ScoreTask["mode"], number>> = { nll: 0, encode: 1, compare: 2 };

/** Score all rows of a task on as many threads. Throws an Error where memory is short. */
export function nativeScoreRows(native: NativeLibrary, task: ScoreTask, threads: number): void {
  const { logits, vocabSize, sequences, rowsPerSequence, scoredPerSequence, targets, records } = task;
  const status = native.scoreRows(
    ...[MODES[task.mode], logits, vocabSize, sequences, rowsPerSequence, scoredPerSequence, targets],
    ...[records ?? null, threads, task.nll, task.referenceNll ?? null, task.kld ?? null, task.sameTop ?? null],
  );
  if (status !== STATUS.ok) throw new Error(`scoring ran out of memory (status ${status}); use fewer threads`);
}
