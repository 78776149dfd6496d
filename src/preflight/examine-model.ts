/**
 * Everything that is checked of a model before time is spent on it: its header, the files beside it, and a sample of
 * its weights. In comes an open model, out come findings; only reading can fail.
 */

import { isRemote } from "../bytes/remote-name.ts";
import { FileError, FormatError } from "../errors.ts";
import type { ModelFile } from "../gguf/model.ts";
import { FINDING_CODES, type Finding, type FindingCode } from "./finding-codes.ts";
import { headerFindings } from "./preflight.ts";
import { findProjectors, projectorFindings } from "./projector-files.ts";
import { constantHeadFindings } from "./rank-weights.ts";
import { weightFindings } from "./weight-findings.ts";
import type { SampleOptions } from "./weight-sample.ts";

/** Bytes of weights read of a local model: a fraction of a second, whatever its size. */
const SAMPLE_BYTES = 32 * 2 ** 20;

export interface CheckOptions extends Omit<SampleOptions, "budgetBytes"> {
  /** Read all weights, of remote models too. */
  readonly deep?: boolean;
}

/** Find what is wrong with a model. Of a remote one only the header is read, unless `deep`. */
export async function examineModel(file: ModelFile, options: CheckOptions = {}): Promise<Finding[]> {
  const { deep = false, ...sample } = options;
  const { model } = file;
  const readsWeights = deep || !isRemote(model.path);
  return [
    ...headerFindings(model),
    ...projectorFindings(await findProjectors(model)),
    ...(readsWeights ? await constantHeadFindings(file) : []),
    ...(readsWeights ? await weightFindings(file, deep ? sample : { ...sample, budgetBytes: SAMPLE_BYTES }) : []),
  ];
}

/** What an error of opening a model is as a finding; undefined for errors that are not the file's. */
export function openingFinding(error: unknown): Finding | undefined {
  if (!(error instanceof FormatError || (error instanceof FileError && error.finding !== undefined))) return undefined;
  const code: FindingCode = isCode(error.finding) ? error.finding : "unreadable";
  return { code, severity: "error", message: error.message, remedy: "convert or download the model again" };
}

function isCode(code: string | undefined): code is FindingCode {
  return code !== undefined && Object.hasOwn(FINDING_CODES, code);
}
