/** What a run is expected to take, told before its first stage and again where it knows more. */
import { chooseContext } from "../evaluate/evaluate-options.ts";
import type { Candidate } from "./candidates.ts";
import {
  describeStages,
  type EstimateInput,
  filePhases,
  judgingPhases,
  RUN_STAGES,
  runStages,
  timingPhase,
  withText,
} from "./estimate.ts";
import type { OpenRun } from "./open-run.ts";
import { nominalChunkMs } from "./probe-budget.ts";
import type { Run } from "./run-document.ts";

/** What the estimate goes by; `chunkMs` where a chunk was timed. */
export function expectedOf(
  { request, source, bench }: Pick<OpenRun, "request" | "source" | "bench">,
  timedMs: number | undefined,
): EstimateInput {
  const { model, weights, measures, imatrix, imatrixToMake, feedback } = source;
  const context = chooseContext(request.context, model.facts.contextTrain);
  const onGpu = bench.gpuLayers > model.facts.layers;
  const elements = weights.reduce((sum, count) => sum + count, 0);
  const { threads } = bench;
  return {
    ...request,
    ...{ weights, threads, context, onGpu, measures },
    chunkMs: timedMs ?? nominalChunkMs({ elements, context, threads, onGpu }),
    makesImatrix: imatrixToMake !== undefined,
    makesFeedback: feedback,
    weighted: imatrixToMake !== undefined || imatrix !== undefined,
  };
}

/** Tell the stages that lie ahead; what an interrupted run finished takes no time again. `isTimed`: in words too. */
export function tellStages(
  { expected, directory, bench }: Pick<OpenRun, "expected" | "directory" | "bench">,
  { finishedAt, kept = [], refinement }: Run,
  isTimed: boolean,
): void {
  if (finishedAt !== undefined) return;
  const has = (path: string) => kept.some((file) => path.endsWith(`/${file.path}`));
  const finished = new Set<string>([
    ...(has(directory.imatrix) ? [RUN_STAGES.imatrix] : []),
    ...(has(directory.analysis) ? [RUN_STAGES.analysis] : []),
    ...(refinement === undefined ? [] : [RUN_STAGES.probes]),
  ]);
  const stages = runStages(expected).map((stage) => (finished.has(stage.name) ? { ...stage, parts: [] } : stage));
  if (isTimed) bench.progress.note(describeStages(stages));
  bench.progress.stages?.(stages);
}

type FileToTell = Pick<Candidate, "label" | "kind">;

/** Tell which files are made and judged, the first of them timed; those that `isMeasured` are not made again. */
export function tellFiles(
  { expected, bench }: Pick<OpenRun, "expected" | "bench">,
  files: readonly FileToTell[],
  timed: number,
  isMeasured: (file: FileToTell) => boolean,
): void {
  const parts = files.map((file, index) => {
    if (isMeasured(file)) return [];
    const phases = file.kind === "rival" ? judgingPhases(expected) : filePhases(expected, file.kind === "feedback");
    const whole = index === 0 ? withText(phases, expected) : phases;
    return index === timed - 1 ? [...whole, timingPhase(timed)] : whole;
  });
  bench.progress.stages?.([{ name: RUN_STAGES.files, parts }]);
}
