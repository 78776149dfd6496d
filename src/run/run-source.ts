/** The model of a run and what it was asked, checked before any work: all that can be refused is refused here. */
import type { Bench } from "../bench.ts";
import { UsageError } from "../errors.ts";
import { fitLayers } from "../evaluate/gpu-layers.ts";
import { refuseMoreFigures } from "../evaluate/more-figures.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { identityOf } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { isCollected } from "../imatrix/check.ts";
import type { Imatrix } from "../imatrix/imatrix.ts";
import { type CheckRequest, checkedModel } from "../intake/checked-model.ts";
import type { QuantizeRequest } from "../quantize/quantize.ts";
import { describeAsked, devicesAsked } from "./asked.ts";
import type { RunAsked } from "./asked-document.ts";
import { checkBaselines, checkTemplates, importanceFrom, type KnownImportance } from "./baselines.ts";
import { presetsOf, requireMeasured } from "./gates.ts";
import { chooseMeasures, type Measures } from "./measures.ts";
import { closeRivals, openRivals, type Rival } from "./rivals.ts";
import { makesFeedback } from "./run-feedback.ts";
import { imatrixToMake, type MadeImatrix } from "./run-imatrix.ts";
import { type CompleteRunRequest, imatrixFile } from "./run-request.ts";
import { layersBefore, runDirectory } from "./run-state.ts";
import { checkSpeed, timesFiles } from "./time-files.ts";

/** Of a source's bytes, what a quantized model beside it has at most: Q8_0 of 16 bits, and some more. */
const BESIDE = 0.6;

export interface RunSource {
  /** Open as long as the run lasts. */
  readonly model: OpenModel;
  /** Given, or made by the run (run-imatrix.ts). */
  readonly imatrix: Imatrix | undefined;
  readonly imatrixToMake: MadeImatrix | undefined;
  /** The plan's file is made with error feedback too. */
  readonly feedback: boolean;
  readonly asked: RunAsked;
  readonly measures: Measures;
  /** Weights of each tensor that is quantized. */
  readonly weights: readonly number[];
  /** What preflight finds to be wrong. */
  readonly warnings: readonly string[];
  /** What it finds was overruled. */
  readonly forced: boolean;
  /** Files of others to be judged too; open as long as the run lasts. */
  readonly rivals: readonly Rival[];
}

/** Files that stay are proven to load, where the source is. */
export function proofOf({ forced }: Pick<RunSource, "forced">): QuantizeRequest["prove"] {
  return forced ? "noted" : "required";
}

/** Throws FileError, FormatError and UsageError: a damaged or quantized model, another model's imatrix, a baseline that can't be. */
export async function openSource(path: string, request: CompleteRunRequest, bench: Bench): Promise<RunSource> {
  const { model: open, imatrix, warnings, forced } = await checkedModel(path, checksOf(request, bench), bench);
  let rivals: readonly Rival[] = [];
  try {
    const { model, facts } = open;
    const toMake = imatrixToMake(open, request, bench);
    const importance = imatrix ? importanceFrom(imatrix) : toMake && importanceToCome(request);
    checkBaselines(request.baselines, model, facts, importance);
    checkBaselines(presetsOf(request.gates), model, facts, importance, "--require:");
    checkTemplates(request.templates, model, facts, importance);
    const feedback = makesFeedback(open, request, bench);
    const measures = chooseMeasures(open, bench.engine, request);
    checkSpeed(request, measures, bench.engine);
    if (bench.engine.programs !== undefined) refuseMoreFigures({ kinds: request.kinds });
    if (request.kinds !== undefined && !measures.text) {
      throw new UsageError("--kinds: this model is judged by documents or vectors, not by next tokens; leave it out");
    }
    requireMeasured(request.gates, { ...measures, speed: timesFiles(request, measures, bench.engine) });
    const { forceFindings } = request;
    rivals = await openRivals(request.rivals, open, { padding: !measures.text, forceFindings }, bench);
    const beside = Math.max(BESIDE, ...rivals.map(({ model }) => model.fileBytes / open.fileBytes));
    const before = request.force ? undefined : await layersBefore(runDirectory(request.out), devicesAsked(bench));
    const fitted = fitLayers(bench, open, { ...request, beside, before });
    return {
      model: open,
      imatrix,
      imatrixToMake: toMake,
      feedback,
      asked: await describeAsked(
        path,
        request,
        { fingerprint: await identityOf(open, bench), imatrix: imatrix?.sha256 ?? toMake, feedback, rivals },
        fitted,
      ),
      measures,
      weights: model.tensors.filter((tensor) => ineligibleReason(tensor) === undefined).map(({ elements }) => elements),
      warnings: [...warnings, ...(measures.warnings ?? [])],
      forced,
      rivals,
    };
  } catch (error) {
    await closeRivals(rivals);
    await open.close();
    throw error;
  }
}

/** A pin may ask for smaller types than a plan would choose: then no budget is impossible. */
function checksOf(request: CompleteRunRequest, { engine }: Bench): CheckRequest {
  const { strict, forceFindings, allowRequantize, constraints, sweep = [], target, budget } = request;
  const pinned = constraints.some(({ kind }) => kind === "pin");
  const budgets = pinned ? [] : [...sweep, ...(target === undefined ? [budget] : [])];
  const importance = request.imatrix === undefined && engine.programs === undefined ? isCollected : undefined;
  const imatrix = imatrixFile(request);
  return { strict, forceFindings, imatrix, importance, budgets, quantize: { allowRequantize }, evaluate: true };
}

function importanceToCome({ out }: CompleteRunRequest): KnownImportance {
  return { path: runDirectory(out).imatrix, has: ({ name }) => isCollected(name) };
}
