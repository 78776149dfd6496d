/** What a whole plan costs and is predicted to lose, and what to be wary of. A function of its tensors, always redone. */
import { bpw, fileBytes, tensorBytesTotal } from "../ggml/file-bytes.ts";
import { tensorRole } from "../ggml/tensor-class.ts";
import { isQuantizedType, type TensorType } from "../ggml/tensor-types.ts";
import { type ImatrixKeys, imatrixKeyBytes } from "../gguf/output-header.ts";
import { describeUnseen } from "../imatrix/coverage.ts";
import { memoryWarnings } from "./budget-memory.ts";
import { distortionOf, lossOf, roundingOf } from "./costing.ts";
import type { Plan, PlanTensor } from "./plan.ts";

/** Bits per weight below which KLDs of single tensors no longer add up (their sum is .92 of the whole at Q2_K, .57 at
 * 1.75 bpw; from measurements of Thireus' GGUF Tool Suite). */
const ADDITIVE_BPW = 2.6;

/** How warnings begin that only the making of a plan knows of, and that stay when it is priced anew. */
export const GIVEN_UP = "given up for the budget:";

/** Bytes of the header of the quantized file, with the keys an imatrix adds, without padding. */
export function planHeaderBytes(plan: Pick<Plan, "facts"> & { imatrix?: ImatrixKeys | undefined }): number {
  return plan.facts.outputHeaderBytes + (plan.imatrix ? imatrixKeyBytes(plan.imatrix) : 0);
}

/** Give every tensor its share of the loss, and predict bytes, loss and the gap to `lowerBound`. */
export function predict(
  plan: Pick<Plan, "facts" | "imatrix">,
  tensors: readonly PlanTensor[],
  lowerBound: number,
): Pick<Plan, "predicted" | "tensors"> {
  const loss = tensors.reduce((sum, tensor) => sum + (lossOf(tensor) ?? 0), 0);
  // summed in another order than the allocator's: a bound must not exceed the loss by rounding
  const bound = Math.min(lowerBound, loss);
  return {
    predicted: {
      fileBytes: fileBytes(planHeaderBytes(plan), tensors),
      tensorBytes: tensorBytesTotal(tensors),
      bpw: bpw(tensors),
      loss,
      lowerBound: bound,
      gap: loss === 0 ? 0 : (loss - bound) / loss,
    },
    tensors: tensors.map(({ lossShare: _, ...tensor }) => {
      const own = lossOf(tensor);
      return own === undefined ? tensor : { ...tensor, lossShare: loss === 0 ? 0 : own / loss };
    }),
  };
}

/**
 * Predict the loss of other types on the tensors of a plan, their codes as ggml rounds them or chosen with error feedback;
 * undefined where D of one was not measured.
 */
export function lossOfTypes(
  { tensors }: Pick<Plan, "tensors">,
  types: ReadonlyMap<string, TensorType>,
  codes: "rounded" | "feedback",
): number | undefined {
  const errorOf = codes === "rounded" ? roundingOf : distortionOf;
  let sum = 0;
  for (const tensor of tensors) {
    if (tensor.reason === "ineligible") continue;
    const distortion = errorOf(tensor, types.get(tensor.name) ?? tensor.sourceType);
    if (tensor.sensitivity === undefined || distortion === undefined) return undefined;
    sum += tensor.sensitivity * distortion;
  }
  return sum;
}

/** The warnings that follow from the plan itself. */
export function planWarnings(plan: Pick<Plan, "predicted" | "tensors" | "budget" | "facts" | "imatrix">): string[] {
  const { predicted, tensors, budget } = plan;
  const eligible = tensors.filter(({ reason }) => reason !== "ineligible");
  const warnings: string[] = [];
  if (
    predicted.fileBytes > budget.fileBytes ||
    predicted.tensorBytes > (budget.tensorBytes ?? Number.POSITIVE_INFINITY)
  ) {
    warnings.push(
      `over the budget: the file takes ${predicted.fileBytes.toLocaleString("en-US")} bytes, asked for at most ${budget.fileBytes.toLocaleString("en-US")}`,
    );
  }
  if (predicted.bpw < ADDITIVE_BPW) {
    warnings.push(
      `below ${ADDITIVE_BPW} bits per weight the damage of tensors no longer adds up: evaluate the file before trusting the predicted loss`,
    );
  }
  const quantized = eligible.filter(({ sourceType }) => isQuantizedType(sourceType));
  if (quantized.length > 0) {
    warnings.push(
      `${count(quantized)} already quantized in the source: the loss is counted against that, not against the original weights; plan from an f16, bf16 or f32 file if there is one`,
    );
  }
  const unmeasured = eligible.filter(({ distortion }) => distortion === undefined);
  if (unmeasured.length > 0) {
    warnings.push(`the predicted loss leaves out ${count(unmeasured)}: distortion in the chosen type was not measured`);
  }
  if (budget.memory !== undefined) warnings.push(...memoryWarnings(tensors, budget.memory));
  return [...warnings, ...imatrixWarnings(plan, eligible), ...mtpWarnings(plan, eligible)];
}

function imatrixWarnings(plan: Pick<Plan, "imatrix">, eligible: readonly PlanTensor[]): string[] {
  if (!plan.imatrix) return [];
  const warnings: string[] = [];
  const missing = eligible.filter(({ importance }) => importance === "missing");
  if (missing.length > 0) {
    warnings.push(`not in the imatrix and quantized without it: ${classes(missing)}`);
  }
  for (const hole of plan.imatrix.unseenExperts ?? []) {
    warnings.push(
      `${hole.class}: ${describeUnseen(hole)} of the imatrix's text: all their inputs weigh alike; a longer or more varied text reaches them`,
    );
  }
  const mismatched = eligible.filter(({ importance }) => importance === "mismatch");
  if (mismatched.length > 0) {
    warnings.push(
      `${count(mismatched)} of another size in the imatrix: it is of another model, and llama-quantize may refuse it`,
    );
  }
  return warnings;
}

function mtpWarnings({ facts }: Pick<Plan, "facts">, eligible: readonly PlanTensor[]): string[] {
  const mtp = eligible.filter(({ name }) => tensorRole(name, facts) === "mtp");
  if (mtp.length === 0) return [];
  return [`${count(mtp)} in MTP blocks: perplexity and KL divergence can't see what quantizing them does`];
}

/** Tensors per class: "token_embd, ffn_down_exps (3)". */
function classes(tensors: readonly PlanTensor[]): string {
  const counts = new Map<string, number>();
  for (const tensor of tensors) counts.set(tensor.class, (counts.get(tensor.class) ?? 0) + 1);
  return [...counts].map(([name, number]) => (number === 1 ? name : `${name} (${number})`)).join(", ");
}

function count(tensors: readonly PlanTensor[]): string {
  const [first] = tensors;
  return tensors.length === 1 && first ? `1 tensor (${first.name})` : `${tensors.length} tensors (${first?.name}, ...)`;
}
