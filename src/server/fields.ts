/** Fields of a request. Clients send null for what their caller left out: both are absent. Each throws UsageError. */
import { UsageError } from "../errors.ts";

export type Fields = Readonly<Record<string, unknown>>;

export function objectOf(value: unknown, example: string): Fields {
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as Fields;
  throw new UsageError(`expected a JSON object like ${example}`);
}

/** The first of `names` that is given, and which: clients call the same by several names. */
export function given(fields: Fields, ...names: string[]): { name: string; value: unknown } | undefined {
  const name = names.find((each) => fields[each] !== undefined && fields[each] !== null);
  return name === undefined ? undefined : { name, value: fields[name] };
}

export function textField(fields: Fields, ...names: string[]): string | undefined {
  const found = given(fields, ...names);
  if (found === undefined || typeof found.value === "string") return found?.value as string | undefined;
  throw new UsageError(`"${found.name}" must be a text`);
}

export function flagField(fields: Fields, ...names: string[]): boolean | undefined {
  const found = given(fields, ...names);
  if (found === undefined || typeof found.value === "boolean") return found?.value as boolean | undefined;
  throw new UsageError(`"${found.name}" must be true or false`);
}

/** A count; what clients send for "no limit", which is `none`, is absent too. */
export function countField(fields: Fields, none: number, ...names: string[]): number | undefined {
  const found = given(fields, ...names);
  if (found === undefined || found.value === none) return undefined;
  if (typeof found.value === "number" && Number.isInteger(found.value) && found.value >= 1) return found.value;
  throw new UsageError(`"${found.name}" must be a whole number from 1 on`);
}
