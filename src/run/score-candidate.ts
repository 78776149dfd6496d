/** A candidate's file, scored: what was made before a run was interrupted is not made again, if it is still what it was. */
import { type FileToScore, scoreFile } from "../evaluate/score-file.ts";
import type { OpenModel } from "../gguf/model.ts";
import { isQuantized } from "../quantize/quantize.ts";
import { isAsKept, type KeptModel, keepModel, modelAsKept } from "./kept-files.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run } from "./run-document.ts";
import { saveRun } from "./run-state.ts";

/** What is done with a file that was made. */
export type Score<Scores> = (model: OpenModel, kept: KeptModel) => Promise<Scores>;

/** `score` gets the state that knows the file, and the file's SHA-256. */
export async function scoreCandidate<Scores>(
  { source, directory, bench }: OpenRun,
  state: Run,
  file: Omit<FileToScore, "isMade">,
  score: Score<Scores>,
): Promise<Scores> {
  const { output } = file.spec;
  const stands = (await isAsKept(state, directory, output)) === true && (await isQuantized(file.spec));
  const made = stands ? modelAsKept(state, directory, output) : undefined;
  return scoreFile(
    source.model,
    { ...file, isMade: made !== undefined },
    async (model) => {
      const kept = made ?? (await keepModel(state, directory, output));
      if (made === undefined) await saveRun(directory, kept.state);
      return score(model, kept);
    },
    bench,
  );
}
