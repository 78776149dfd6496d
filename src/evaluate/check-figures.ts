/** Figures that a document could not hold are refused before they are compared or written, naming the model. */
import type { TSchema } from "@sinclair/typebox";
import { findViolation } from "../documents/violation.ts";
import { FormatError } from "../errors.ts";

/**
 * The figures of the model at `path`, if they are such. Throws FormatError where they are not finite, or beyond what a
 * model can give, though every score was a number: a mean of 710 nats a token is an infinite perplexity.
 */
export function checkFigures<Figures>(path: string, schema: TSchema, figures: Figures): Figures {
  const violation = findViolation(schema, figures);
  if (violation === undefined) return figures;
  throw new FormatError(
    path,
    `what the model puts out is no measure of anything: ${violation}; weights or scales are damaged: convert or quantize it again`,
  );
}
