/** Plan → the GGUF it describes, verified to the byte, with the projectors that belong to it. */
import { dirname } from "node:path";
import type { Bench } from "../bench.ts";
import { isRemote, localName, requireLocal } from "../bytes/remote-name.ts";
import { fileExists } from "../disk/aside-file.ts";
import { FileError } from "../errors.ts";
import { checkCalibration, checkFeedbackChoice } from "../feedback/check-calibration.ts";
import { type FeedbackOutcome, feedbackSpec, noteFeedback } from "../feedback/feedback.ts";
import { identityOf } from "../gguf/identity.ts";
import type { OpenModel } from "../gguf/model.ts";
import { checkedModel, noteWarnings } from "../intake/checked-model.ts";
import { protectInputs } from "../intake/protect-inputs.ts";
import type { Plan } from "../plan/plan.ts";
import { defaultOutput } from "../plan/quantize-arguments.ts";
import { present } from "../present.ts";
import { copyProjectors, describeOutput, type OutputFile } from "../quantize/outputs.ts";
import { planImatrix, planSpec } from "../quantize/plan-spec.ts";
import type { LoadProof } from "../quantize/prove-loading.ts";
import { type QuantizedFile, quantize } from "../quantize/quantize.ts";
import { parseSplitSize, splitOf } from "../quantize/split-file.ts";
import { loadPlan } from "./load-document.ts";

export interface QuantizePlanRequest {
  /** Where the model goes; by default this folder, under the name it would be published by. */
  readonly output?: string | undefined;
  /** Path of the model, where it no longer lies where the plan says. */
  readonly source?: string | undefined;
  /** Path of the plan's importance matrix, where it no longer lies where the plan says. */
  readonly imatrix?: string | undefined;
  readonly allowRequantize?: boolean | undefined;
  readonly strict?: boolean | undefined;
  /** Go on with a model that llama.cpp does not load. */
  readonly forceFindings?: boolean | undefined;
  readonly force?: boolean | undefined;
  /** Choose the codes with error feedback. */
  readonly feedback?: boolean | undefined;
  /** Text to calibrate them on, a file a kind; by default what the model writes and the text that comes with PRISM. */
  readonly calibration?: readonly string[] | undefined;
  /** Write files no larger than this, like "50GB", named name-00001-of-00003.gguf; one that is no larger stays one. */
  readonly splitMaxSize?: string | undefined;
  /** Write as many files as the source has, each with the tensors of the source's. */
  readonly keepSplit?: boolean | undefined;
}

export interface QuantizedPlan extends Omit<QuantizedFile, "proof" | "parts"> {
  readonly sha256: string;
  /** All files of a model in parts, in order; its path is the first of them. */
  readonly parts?: readonly OutputFile[];
  readonly projectors: readonly OutputFile[];
  readonly bpw: number;
  /** What became of the codes, where they were chosen with error feedback. */
  readonly feedback?: FeedbackOutcome;
  readonly verified: { readonly tensors: number; readonly fileBytes: number } & LoadProof;
  /** The model it was made from. */
  readonly source: string;
}

/** Quantize a plan, or the one at a path. Throws as quantize/quantize.ts does. */
export async function quantizePlan(
  named: Plan | string,
  request: QuantizePlanRequest,
  bench: Bench,
): Promise<QuantizedPlan> {
  const plan = typeof named === "string" ? await loadPlan(named) : named;
  const { strict, forceFindings, allowRequantize, force, feedback, calibration = [] } = request;
  checkFeedbackChoice(request, bench);
  const path = request.source ?? plan.source.path;
  requireLocal(path, `name it as the source (--source ${localName(path)})`);
  if (request.source === undefined) await checkPlannedSource(path);
  const target = request.output ?? defaultOutput(plan);
  const splitRequest = { splitMaxBytes: parseSplitSize(request.splitMaxSize), keepSplit: request.keepSplit };
  await protectInputs([target], [typeof named === "string" ? named : undefined, ...calibration]);
  const types = new Map(plan.tensors.map(({ name, type }) => [name, type]));
  const checked = await checkedModel(
    path,
    {
      strict,
      forceFindings,
      // what is quantized already is a matter of allowRequantize
      ignored: ["already-quantized"],
      quantize: { allowRequantize, types, headerHash: plan.source.headerHash },
    },
    bench,
  );
  const { model } = checked;
  try {
    noteWarnings(checked, bench);
    await noteOtherWeights(plan, model, bench);
    if (feedback === true) await checkCalibration(model, { calibration }, bench);
    noteFeedback(plan, feedback === true, bench);
    const imatrix = await planImatrix(plan, model, request.imatrix);
    const split = splitOf(splitRequest, model);
    const stock = { ...planSpec(plan, target, imatrix), ...present({ split }) };
    const coded = feedback === true ? feedbackSpec(model, plan, stock, { calibration }, bench) : undefined;
    const prove = checked.forced ? "noted" : "required";
    const { proof, parts, ...file } = await quantize(
      model,
      coded?.spec ?? stock,
      { force, allowRequantize, prove },
      bench,
    );
    const written = await Promise.all((parts ?? [file.path]).map(describeOutput));
    const [{ sha256 }] = written as [OutputFile];
    const projectors = await copyProjectors({ path, arch: plan.facts.arch }, dirname(target), force ?? false);
    const verified = { tensors: plan.tensors.length, fileBytes: file.fileBytes, ...proof };
    return {
      ...file,
      sha256,
      ...(parts === undefined ? {} : { parts: written }),
      projectors,
      bpw: plan.predicted.bpw,
      ...present({ feedback: coded?.outcome() }),
      verified,
      source: path,
    };
  } finally {
    await model.close();
  }
}

/** Types and bytes hold for every model of this header; what was measured doesn't. */
async function noteOtherWeights({ source }: Plan, model: OpenModel, bench: Bench): Promise<void> {
  if (source.identity === undefined || (await identityOf(model, bench)) === source.identity) return;
  bench.progress.note(
    `! ${model.path} has other weights than the model that was measured for the plan: its sizes hold, its figures are not of this file`,
  );
}

/** A plan travels without its model. */
async function checkPlannedSource(path: string): Promise<void> {
  if (isRemote(path) || (await fileExists(path))) return;
  throw new FileError(path, "the model of the plan is not there; name it with --source FILE");
}
