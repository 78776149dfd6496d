/**
 * The words document schemas are written in, beyond those of TypeBox. A document is defined once, as a JSON Schema
 * (draft-07); the type of its content follows from that. Runs in a browser too.
 */
import {
  type ArrayOptions,
  type SchemaOptions,
  type Static,
  type TLiteralValue,
  type TProperties,
  type TSchema,
  type TUnsafe,
  Type,
} from "@sinclair/typebox";

/** What a schema accepts, to be read only. */
export type Content<Schema extends TSchema> = Immutable<Static<Schema>>;

type Immutable<T> = T extends readonly (infer Item)[]
  ? readonly Immutable<Item>[]
  : T extends object
    ? { readonly [Key in keyof T]: Immutable<T[Key]> }
    : T;

export const { Optional: optional } = Type;

/** Characters of a text: a regular expression, a note. */
const MAX_TEXT = 4096;
/** Entries of a list: documents of models have a few thousand. */
const MAX_LIST = 1_000_000;

/** Options of a schema; a text alone is its description. */
type About<Options = SchemaOptions> = string | Options;

const optionsOf = <Options>(about: About<Options>) => (typeof about === "string" ? { description: about } : about);
const described = (description: string | undefined) => (description === undefined ? {} : { description });

export const object = <Fields extends TProperties>(fields: Fields, about: About = {}) =>
  Type.Object(fields, optionsOf(about));
export const exactly = <Value extends TLiteralValue>(value: Value, about: About = {}) =>
  Type.Literal(value, optionsOf(about));
export const flag = (description?: string) => Type.Boolean(described(description));

export const text = (description?: string) => Type.String({ maxLength: MAX_TEXT, ...described(description) });
/** A text that is not empty. */
export const name = (description?: string, maxLength = MAX_TEXT) =>
  Type.String({ minLength: 1, maxLength, ...described(description) });
/** Text as long as it gets: of people, of errors. */
export const prose = (description?: string) => Type.String(described(description));

export const bytes = (description?: string) =>
  Type.Integer({ minimum: 0, maximum: Number.MAX_SAFE_INTEGER, ...described(description) });
/** At least one, of what may not be none. */
export const some = (description?: string) =>
  Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER, ...described(description) });
export const count = (description?: string) =>
  Type.Integer({ minimum: 0, maximum: 2 ** 32, ...described(description) });

export const number = (description?: string) => Type.Number(described(description));
/** 0 or more. */
export const amount = (description?: string) => Type.Number({ minimum: 0, ...described(description) });
export const percent = (description?: string) => Type.Number({ minimum: 0, maximum: 100, ...described(description) });

/** From 0 to 1. */
export const fraction = (description?: string) => Type.Number({ minimum: 0, maximum: 1, ...described(description) });

/** A mean KL divergence: the steps of a logits file (2.4e-4) may leave it just below 0, and no model is 100 nats from another. */
export const nats = (description?: string) => Type.Number({ minimum: -0.01, maximum: 100, ...described(description) });

/** The same with a description of its own, or other limits. */
export const given = <Schema extends TSchema>(schema: Schema, about: About): Schema => ({
  ...schema,
  ...optionsOf(about),
});

/** One of these texts. */
export const oneOf = <const Text extends string>(texts: readonly Text[], description?: string): TUnsafe<Text> =>
  Type.Unsafe<Text>({ type: "string", enum: [...texts], ...described(description) });

export const list = <Item extends TSchema>(items: Item, about: About<ArrayOptions> = {}) =>
  Type.Array(items, { maxItems: MAX_LIST, ...optionsOf(about) });

/** Values by name; of these names only, where some are given. */
export const table = <Value extends TSchema, const Name extends string = string>(
  values: Value,
  description?: string,
  names?: readonly Name[],
): TUnsafe<string extends Name ? Record<string, Static<Value>> : Partial<Record<Name, Static<Value>>>> =>
  Type.Unsafe({
    type: "object",
    ...(names && { propertyNames: { type: "string", enum: [...names] } }),
    additionalProperties: values,
    ...described(description),
  });

/** An estimate and one standard error. */
export const measured = (value: TSchema & { static: number } = number(), description?: string) =>
  object({ value: Type.Unsafe<number>(value), se: amount("Standard error.") }, described(description));
