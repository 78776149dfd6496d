/**
 * Bounds on JSON before it is parsed: megabytes of brackets become hundreds of megabytes of objects, and seconds in which
 * nobody is answered.
 */
import { endOfString } from "../documents/parse-json.ts";
import { UsageError } from "../errors.ts";

/** A request is three deep; fields that are not known may be deeper. */
const MOST_DEEP = 64;

/** Throws UsageError for JSON that is nested deeper, or has more values than `mostValues`. */
export function checkJsonBounds(text: string, mostValues: number): void {
  let depth = 0;
  let values = 1;
  for (let at = 0; at < text.length; at++) {
    switch (text[at]) {
      case '"':
        at = endOfString(text, at);
        break;
      case "[":
      case "{":
        if (++depth > MOST_DEEP) throw new UsageError(`the body is nested more than ${MOST_DEEP} deep`);
        values++;
        break;
      case "]":
      case "}":
        depth--;
        break;
      case ",":
        values++;
    }
    if (values > mostValues) throw new UsageError(`the body has more than ${mostValues} values`);
  }
}
