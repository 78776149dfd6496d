/** Where a value breaks a schema, in words: the field, what was expected there and what it got. */
import type { TSchema } from "@sinclair/typebox";
import { Ajv, type ErrorObject, type ValidateFunction } from "ajv";

const compiled = new WeakMap<TSchema, ValidateFunction>();

/** The first field that breaks the schema; undefined where none does. `tensors[3].bytes: expected a number, got null`. */
export function findViolation(schema: TSchema, value: unknown): string | undefined {
  let validate = compiled.get(schema);
  if (validate === undefined) {
    // verbose: an error carries the value and the part of the schema it breaks
    validate = new Ajv({ strict: true, verbose: true }).compile(schema);
    compiled.set(schema, validate);
  }
  return validate(value) ? undefined : describe(validate.errors?.[0], value);
}

/** Characters of a path or a value in a message. */
const MAX_PATH = 200;
const MAX_VALUE = 60;

function describe(error: ErrorObject | undefined, document: unknown): string {
  if (error === undefined) return "is damaged";
  const { keyword, params, data, propertyName } = error;
  const keys = error.instancePath.split("/").slice(1).map(unescapePointer);
  if (keyword === "required") keys.push(params.missingProperty);
  if (propertyName !== undefined) keys.push(propertyName);
  const where = keys.length === 0 ? "the document" : pathOf(keys);
  const name = nameOf(keys, document);
  const at = `${where.length > MAX_PATH ? `${where.slice(0, MAX_PATH)}…` : where}${name === undefined ? "" : ` (${name})`}`;
  if (propertyName !== undefined) return `${at}: no such name, expected ${wanted(error)}`;
  return `${at}: expected ${wanted(error)}, got ${keyword === "required" ? "nothing" : got(keyword, data)}`;
}

const unescapePointer = (key: string): string => key.replaceAll("~1", "/").replaceAll("~0", "~");

function pathOf(keys: readonly string[]): string {
  const parts = keys.map((key) => {
    if (/^\d+$/.test(key)) return `[${key}]`;
    return /^[\w$-]+$/.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`;
  });
  return parts.join("").replace(/^\./, "");
}

/** Of the entry of a list that the path leads into, where it has one: tensors and rows are known by theirs. */
function nameOf(keys: readonly string[], document: unknown): string | undefined {
  let name: string | undefined;
  let value = document;
  for (const key of keys) {
    if (typeof value !== "object" || value === null || !Object.hasOwn(value, key)) break;
    const isEntry = Array.isArray(value);
    value = (value as Record<string, unknown>)[key];
    const { name: own, label } = (value ?? {}) as { name?: unknown; label?: unknown };
    const known = own ?? label;
    if (isEntry && typeof known === "string") name = JSON.stringify(known.slice(0, MAX_VALUE));
  }
  return name;
}

/** What the schema asks for where the error is. */
function wanted({ keyword, params, parentSchema }: ErrorObject): string {
  if (keyword === "required") return nounOf(parentSchema?.properties?.[params.missingProperty]);
  if (keyword === "enum") return `one of ${(params.allowedValues as unknown[]).join(", ")}`;
  const noun = nounOf(parentSchema);
  const { limit } = params;
  switch (keyword) {
    case "minimum":
      return `${noun} of at least ${limit}`;
    case "exclusiveMinimum":
      return `${noun} above ${limit}`;
    case "maximum":
      return `${noun} of at most ${limit}`;
    case "minItems":
      return `${noun} of at least ${limit}`;
    case "maxItems":
      return `${noun} of at most ${limit}`;
    case "minLength":
      return "text that is not empty";
    case "maxLength":
      return `text of at most ${limit} characters`;
    case "pattern":
      return params.pattern === "\\S" ? "text that is not empty" : `text that matches ${params.pattern}`;
    default:
      return noun;
  }
}

const NOUNS: Readonly<Record<string, string>> = {
  integer: "a whole number",
  number: "a number",
  string: "text",
  boolean: "true or false",
  array: "a list",
  object: "an object",
};

function nounOf(schema: Record<string, unknown> | undefined): string {
  if (schema?.const !== undefined) return JSON.stringify(schema.const);
  if (schema?.enum !== undefined) return `one of ${(schema.enum as string[]).join(", ")}`;
  if (schema?.else !== undefined) return nounOf(schema.else as Record<string, unknown>);
  return NOUNS[`${schema?.type}`] ?? "another value";
}

function got(keyword: string, value: unknown): string {
  if (Array.isArray(value)) return keyword.endsWith("Items") ? `${value.length}` : "a list";
  if (keyword === "maxLength") return `${(value as string).length}`;
  return shown(value);
}

/** A value of a document as a message names it. */
export function shown(value: unknown): string {
  if (value === undefined) return "nothing";
  if (Array.isArray(value)) return "a list";
  if (typeof value === "object" && value !== null) return "an object";
  // JSON has numbers that are too large for one: 1e999
  if (typeof value === "number" && !Number.isFinite(value)) return String(value);
  const json = JSON.stringify(value);
  const cut = json.length > MAX_VALUE ? `${json.slice(0, MAX_VALUE)}…` : json;
  return typeof value === "string" ? `the text ${cut}` : cut;
}
