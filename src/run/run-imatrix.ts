/**
 * The importance matrix of a run where none is given: made in the run's directory before anything that depends on it,
 * of text that the model writes itself, or, where it writes none, of the text that comes with PRISM.
 */
import type { Bench } from "../bench.ts";
import { FormatError } from "../errors.ts";
import { makeImatrix } from "../evaluate/make-imatrix.ts";
import { writesText } from "../evaluate/shipped-text.ts";
import type { OpenModel } from "../gguf/model.ts";
import { readImatrix } from "../imatrix/imatrix.ts";
import { checkBaselines, importanceFrom } from "./baselines.ts";
import { RUN_STAGES } from "./estimate.ts";
import { isAsKept, keepModel, modelAsKept } from "./kept-files.ts";
import type { OpenRun } from "./open-run.ts";
import type { Run } from "./run-document.ts";
import type { RunRequest } from "./run-request.ts";
import { saveRun } from "./run-state.ts";

/** What the matrix is made of; it stands for it in state.json. */
export type MadeImatrix = "sampled" | "shipped";

/** Whether a matrix is made, and of what. A note says why there is none where none was declined. */
export function imatrixToMake(
  source: Pick<OpenModel, "model" | "facts">,
  { imatrix }: Pick<RunRequest, "imatrix">,
  { engine, progress }: Pick<Bench, "engine" | "progress">,
): MadeImatrix | undefined {
  if (imatrix !== undefined) return undefined;
  if (engine.programs === undefined) return writesText(source) ? "sampled" : "shipped";
  progress.note(
    "no importance matrix: llama.cpp's programs sample no text to make one of; give --imatrix FILE (prism imatrix MODEL makes one)",
  );
  return undefined;
}

/** The run with its matrix, and the state that knows it: what was made before is taken up. */
export async function withImatrix(run: OpenRun, begun: Run): Promise<{ run: OpenRun; state: Run }> {
  const { request, source, directory, bench } = run;
  if (source.imatrixToMake === undefined) return { run, state: begun };
  const { imatrix: path } = directory;
  const isKept = await isAsKept(begun, directory, path);
  let state = begun;
  if (isKept !== true) {
    if (isKept === false) bench.progress.note(`! ${path} was changed after it was written: made again`);
    bench.progress.begin?.(RUN_STAGES.imatrix);
    await makeImatrix(source.model, { output: path, head: true }, bench);
    const made = await keepModel(begun, directory, path);
    const before = modelAsKept(begun, directory, path);
    if (before !== undefined && before.sha256 !== made.sha256) {
      throw new FormatError(
        path,
        "came out otherwise than when the run was begun (on another machine, or by other kernels?), and what is finished depends on it; put the file back, or begin anew with --force",
      );
    }
    state = made.state;
    await saveRun(directory, state);
  }
  const imatrix = await readImatrix(path);
  checkBaselines(request.baselines, source.model.model, source.model.facts, importanceFrom(imatrix));
  return { run: { ...run, source: { ...source, imatrix } }, state };
}
