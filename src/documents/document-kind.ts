/** What is known of a kind of document: its name, its schema, and what to do about one that can't be read. */
import type { TSchema } from "@sinclair/typebox";

export interface DocumentKind<Schema extends TSchema = TSchema> {
  /** The `schema` it carries: "prism.plan/1". */
  readonly id: string;
  /** With its article, for messages: "a plan". */
  readonly noun: string;
  /** What to do about one that is damaged, or another document in its place. */
  readonly remedy: string;
  readonly schema: Schema;
  /** Bytes, and characters, of the longest that is read. */
  readonly maxBytes: number;
}

/** A plan of 200,000 tensors with all options has about 150 million. */
const MAX_BYTES = 2 ** 28;

interface KindOptions<Schema> {
  readonly id: string;
  readonly noun: string;
  readonly remedy: string;
  readonly description: string;
  readonly schema: Schema;
  readonly maxBytes?: number;
}

/** Define a kind of document. `description` is for readers of the JSON Schema, which has a stable `$id`. */
export function defineDocument<Schema extends TSchema>(options: KindOptions<Schema>): DocumentKind<Schema> {
  const { id, noun, remedy, description, schema, maxBytes = MAX_BYTES } = options;
  const head = { $schema: "http://json-schema.org/draft-07/schema#", $id: `urn:prism-gguf:${id}` };
  const title = `PRISM ${noun.replace(/^\w+ /, "")}`;
  return { id, noun, remedy, schema: { ...head, title, description, ...schema }, maxBytes };
}

/** The file in plans/ that holds the schema of a kind. */
export function schemaFile({ id }: Pick<DocumentKind, "id">): string {
  return `${id.replace(/^prism\./, "").replace(/\/\d+$/, "")}.schema.json`;
}
