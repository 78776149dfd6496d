/** JSON text → Analysis, checked once so that later stages can trust it. */
import { Ajv, type ErrorObject } from "ajv";
import { FormatError } from "../errors.ts";
import { elementCount } from "../ggml/tensor-types.ts";
import { ANALYSIS_SCHEMA, type Analysis } from "./analysis.ts";
import { ANALYSIS_JSON_SCHEMA } from "./analysis-schema.ts";

const validate = new Ajv({ strict: true }).compile<Analysis>(ANALYSIS_JSON_SCHEMA);

/** Parse an Analysis document. `path` names it in errors. Throws FormatError for anything else. */
export function readAnalysis(json: string, path: string): Analysis {
  const document = parse(json, path);
  checkSchemaName(document, path);
  if (!validate(document)) throw new FormatError(path, `analysis: ${describe(validate.errors?.[0])}; ${AGAIN}`);
  checkTensors(document, path);
  return document;
}

const AGAIN = "make the analysis again with prism analyze";

function parse(json: string, path: string): unknown {
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new FormatError(path, `analysis: not JSON (${(error as Error).message}); ${AGAIN}`, { cause: error });
  }
}

function checkSchemaName(document: unknown, path: string): void {
  const schema =
    typeof document === "object" && document !== null && "schema" in document ? document.schema : undefined;
  if (schema === ANALYSIS_SCHEMA) return;
  const isOtherVersion = typeof schema === "string" && schema.startsWith("prism.analysis/");
  throw new FormatError(
    path,
    `expected a document of schema "${ANALYSIS_SCHEMA}", got ${schema === undefined ? "one without a schema" : JSON.stringify(schema)}; ${
      isOtherVersion ? `another version of PRISM made it: ${AGAIN}` : "give the file that prism analyze wrote"
    }`,
  );
}

function describe(error: ErrorObject | undefined): string {
  if (!error) return "the document is damaged";
  const where = error.instancePath === "" ? "the document" : error.instancePath.slice(1).replaceAll("/", ".");
  return `${where} ${error.message ?? "is damaged"}`;
}

function checkTensors({ tensors, model }: Analysis, path: string): void {
  if (tensors.length !== model.tensorCount) {
    throw new FormatError(path, `analysis: expected ${model.tensorCount} tensors, got ${tensors.length}; ${AGAIN}`);
  }
  const names = new Set<string>();
  for (const tensor of tensors) {
    if (names.has(tensor.name)) throw new FormatError(path, `analysis: ${tensor.name} is there twice; ${AGAIN}`);
    names.add(tensor.name);
    if (elementCount(tensor.shape) !== tensor.elements) {
      throw new FormatError(
        path,
        `analysis: ${tensor.name} [${tensor.shape.join(", ")}] has ${elementCount(tensor.shape)} elements, the document says ${tensor.elements}; ${AGAIN}`,
      );
    }
    if (tensor.eligible && Object.keys(tensor.distortion ?? {}).length === 0) {
      throw new FormatError(path, `analysis: ${tensor.name} has no distortion; ${AGAIN}`);
    }
  }
}
