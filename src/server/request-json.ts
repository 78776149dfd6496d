/** The text of a body → the JSON it holds, bounded. */
import { findRepeated } from "../documents/parse-json.ts";
import { UsageError } from "../errors.ts";
import { checkJsonBounds } from "./json-bounds.ts";

/** Throws UsageError. */
export function parseRequestJson(text: string, mostValues: number): unknown {
  if (text === "") throw new UsageError("the body is empty; send a JSON object");
  checkJsonBounds(text, mostValues);
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UsageError(`the body is not valid JSON (${(error as Error).message})`, { cause: error });
  }
  const repeated = findRepeated(text, value);
  if (repeated !== undefined) throw new UsageError(`the body says ${repeated} twice in one object`);
  return value;
}
