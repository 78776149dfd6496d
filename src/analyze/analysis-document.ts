/** JSON text → Analysis, checked once so that later stages can trust it. */
import { readDocument } from "../documents/read-document.ts";
import { FormatError } from "../errors.ts";
import { ineligibleReason } from "../ggml/eligibility.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import { elementCount } from "../ggml/tensor-types.ts";
import { ANALYSIS, type Analysis } from "./analysis.ts";

/** Parse an Analysis document. `path` names it in errors. Throws FormatError for anything else. */
export function readAnalysis(json: string, path: string): Analysis {
  const analysis = readDocument(json, path, ANALYSIS);
  checkTensors(analysis, path);
  return analysis;
}

const AGAIN = ANALYSIS.remedy;

function checkTensors({ tensors, model }: Analysis, path: string): void {
  if (tensors.length !== model.tensorCount) {
    throw new FormatError(
      path,
      `an analysis, but expected ${model.tensorCount} tensors, got ${tensors.length}; ${AGAIN}`,
    );
  }
  const names = new Set<string>();
  for (const tensor of tensors) {
    if (names.has(tensor.name)) throw new FormatError(path, `an analysis, but ${tensor.name} is there twice; ${AGAIN}`);
    names.add(tensor.name);
    if (elementCount(tensor.shape) !== tensor.elements) {
      throw new FormatError(
        path,
        `an analysis, but ${tensor.name} [${tensor.shape.join(", ")}] has ${elementCount(tensor.shape)} elements, the document says ${tensor.elements}; ${AGAIN}`,
      );
    }
    const { class: ownClass, layer } = tensorClass(tensor.name);
    if (tensor.class !== ownClass || tensor.layer !== layer) {
      throw new FormatError(
        path,
        `an analysis, but class and layer of ${tensor.name} must be ${ownClass} and ${layer ?? "absent"}; ${AGAIN}`,
      );
    }
    const why = ineligibleReason(tensor);
    if (tensor.eligible !== (why === undefined)) {
      const means = why === undefined ? "llama-quantize quantizes it" : `it keeps its type (${why})`;
      throw new FormatError(
        path,
        `an analysis, but eligible of ${tensor.name} must be ${why === undefined}: ${means}; ${AGAIN}`,
      );
    }
    if (tensor.eligible && Object.keys(tensor.distortion ?? {}).length === 0) {
      throw new FormatError(path, `an analysis, but ${tensor.name} has no distortion; ${AGAIN}`);
    }
  }
}
