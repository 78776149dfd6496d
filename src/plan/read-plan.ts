/** Text of a plan.json → Plan, checked against the schema and priced anew. A plan may come from anyone. */
import { readDocument } from "../documents/read-document.ts";
import { FormatError, UsageError } from "../errors.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import { elementCount } from "../ggml/tensor-types.ts";
import { PLAN, type Plan } from "./plan.ts";
import { recostPlan } from "./recost.ts";

/** Read a plan. `path` is for messages. Throws FormatError, or UsageError for an edited type that is not possible. */
export function readPlan(text: string, path: string): Plan {
  const plan = readDocument(text, path, PLAN);
  const names = new Set<string>();
  for (const tensor of plan.tensors) {
    const { name, shape, elements } = tensor;
    if (names.has(name)) throw new FormatError(path, `tensor ${name} is listed twice; a plan lists each tensor once`);
    names.add(name);
    if (elementCount(shape) !== elements) {
      throw new FormatError(path, `tensor ${name}: shape ${shape.join(" x ")} is not ${elements} elements`);
    }
    const { class: expected, layer } = tensorClass(name);
    if (tensor.class !== expected || tensor.layer !== layer) {
      throw new FormatError(path, `tensor ${name}: class and layer must be ${expected} and ${layer ?? "absent"}`);
    }
  }
  try {
    return recostPlan(plan);
  } catch (error) {
    if (error instanceof UsageError) throw new UsageError(`${path}: ${error.message}`, { cause: error });
    if (error instanceof RangeError) throw new FormatError(path, error.message, { cause: error });
    throw error;
  }
}
