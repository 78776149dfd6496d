/** Constraints in the words of the user: read from text, and matched against tensor names. */
import { UsageError } from "../errors.ts";
import { parseTensorType, TENSOR_TYPES } from "../ggml/tensor-types.ts";
import { compilePattern, type Pattern, type Work } from "./compile-pattern.ts";
import type { Constraint } from "./problem.ts";

/** Write a constraint as the user would: `pin attn_v=Q6_K`, `tie attn_q|attn_k`. */
export function describeConstraint({ kind, pattern, type }: Constraint): string {
  return type === undefined ? `${kind} ${pattern}` : `${kind} ${pattern}=${type}`;
}

/**
 * Parse the text of an option: `PATTERN=TYPE`, split at the last `=`; for a tie only `PATTERN`.
 * Throws UsageError for a missing part, an unknown type, a type llama-quantize can't make, or an invalid pattern.
 */
export function parseConstraint(kind: Constraint["kind"], text: string): Constraint {
  if (kind === "tie") {
    const tie = { kind, pattern: text } as const;
    constraintPattern(tie);
    return tie;
  }
  const split = text.lastIndexOf("=");
  const pattern = text.slice(0, Math.max(split, 0));
  const typeName = text.slice(split + 1).trim();
  if (split < 0 || pattern === "" || typeName === "") {
    throw new UsageError(
      `${kind} "${text}": expected PATTERN=TYPE, for example "attn_v=Q6_K" (the pattern "." means every tensor)`,
    );
  }
  const type = parseTensorType(typeName);
  if (type === undefined || !TENSOR_TYPES[type].target) {
    const what = type === undefined ? "is not a tensor type" : "can't be produced by llama-quantize";
    throw new UsageError(`${kind} "${text}": "${typeName}" ${what}; give one like Q4_K, Q6_K, IQ4_XS, Q8_0 or F16`);
  }
  const constraint = { kind, pattern, type } as const;
  constraintPattern(constraint);
  return constraint;
}

/** Names that match, searched unanchored and case-sensitive. Throws UsageError when a user's pattern matches none. */
export function matchNames(constraint: Constraint, names: readonly string[], work: Work): Set<string> {
  const pattern = constraintPattern(constraint, work);
  const matched = new Set(names.filter((name) => pattern.test(name)));
  if (matched.size === 0 && constraint.builtIn !== true) {
    const examples = names.slice(0, 3).join(", ");
    throw new UsageError(
      `${describeConstraint(constraint)}: the pattern matches none of the ${names.length} tensors that can be quantized ` +
        `(such as ${examples}); it is a regular expression, case-sensitive, found anywhere in the name`,
    );
  }
  return matched;
}

/** Characters of a pattern: plans, which quote it in their notes, hold no more. */
const MAX_PATTERN = 4000;

/** The pattern of a constraint. Throws UsageError for one that is empty, wrong, or has what patterns can't have. */
export function constraintPattern(constraint: Constraint, work?: Work): Pattern {
  if (constraint.pattern === "") {
    throw new UsageError(`${constraint.kind}: the pattern is empty; "." matches every tensor`);
  }
  if (constraint.pattern.length > MAX_PATTERN) {
    throw new UsageError(
      `${constraint.kind}: the pattern has ${constraint.pattern.length} characters, expected at most ${MAX_PATTERN}; give several shorter ones`,
    );
  }
  try {
    return compilePattern(constraint.pattern, work);
  } catch (cause) {
    if (!(cause instanceof UsageError)) throw cause;
    throw new UsageError(`${describeConstraint(constraint)}: ${cause.message}`, { cause });
  }
}
