/** Text of a plan.json → Plan, checked against the schema and priced anew. A plan may come from anyone. */
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";
import { FormatError, UsageError } from "../errors.ts";
import { tensorClass } from "../ggml/tensor-class.ts";
import { elementCount } from "../ggml/tensor-types.ts";
import { PLAN_SCHEMA, type Plan } from "./plan.ts";
import { PLAN_JSON_SCHEMA } from "./plan-schema.ts";
import { recostPlan } from "./recost.ts";

/** Characters; a plan of 200,000 tensors with all options has about 150 million. */
const MAX_CHARACTERS = 2 ** 28;

let compiled: ValidateFunction<Plan> | undefined;

/** Read a plan. `path` is for messages. Throws FormatError, or UsageError for an edited type that is not possible. */
export function readPlan(text: string, path: string): Plan {
  if (text.length > MAX_CHARACTERS) {
    throw new FormatError(path, `${text.length} characters are too many for a plan (at most ${MAX_CHARACTERS})`);
  }
  const plan = parse(text, path);
  checkSchemaName(plan, path);
  compiled ??= new Ajv({ strict: true }).compile<Plan>(PLAN_JSON_SCHEMA);
  const validate = compiled;
  if (!validate(plan)) throw new FormatError(path, describe(validate.errors?.[0], plan));
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

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new FormatError(path, `is not JSON: ${(error as Error).message}`, { cause: error });
  }
}

function checkSchemaName(plan: unknown, path: string): void {
  const schema = typeof plan === "object" && plan !== null && "schema" in plan ? plan.schema : undefined;
  if (schema === PLAN_SCHEMA) return;
  const got = typeof schema === "string" ? JSON.stringify(schema.slice(0, 80)) : typeof schema;
  throw new FormatError(path, `expected a plan ("schema": "${PLAN_SCHEMA}"), got ${got}; make one with prism plan`);
}

/** The first violation, with the tensor's name rather than its index where there is one. */
function describe(error: ErrorObject | undefined, plan: unknown): string {
  if (!error) return "does not follow plans/plan.schema.json";
  const index = /^\/tensors\/(\d+)/.exec(error.instancePath)?.[1];
  const tensors = (plan as { tensors?: { name?: unknown }[] }).tensors;
  const name = index === undefined ? undefined : tensors?.[Number(index)]?.name;
  const where = typeof name === "string" ? ` (tensor ${JSON.stringify(name.slice(0, 80))})` : "";
  const allowed = "allowedValues" in error.params ? `: ${(error.params.allowedValues as string[]).join(", ")}` : "";
  return `${error.instancePath || "the document"}${where} ${error.message ?? "is wrong"}${allowed}`;
}
