/**
 * The language of `--require`: comparisons of a measure with a number, `beats(LABEL)` and `ties(LABEL)`, joined by `&&` and
 * `||` (which binds weaker) and by parentheses. Names are read in capitals or not.
 */
import { UsageError } from "../errors.ts";
import { parseFileType } from "../ggml/file-types.ts";
import { findMeasure, MEASURE_NAMES, type MeasureName, parseLimit } from "./gate-measures.ts";

export const OPERATORS = ["<=", ">=", "<", ">"] as const;
export type Operator = (typeof OPERATORS)[number];

/** What decides: a figure of the file, or the verdict on it against a row. */
export type Leaf =
  | {
      readonly kind: "figure";
      readonly text: string;
      readonly measure: MeasureName;
      readonly operator: Operator;
      readonly limit: number;
    }
  | { readonly kind: "verdict"; readonly text: string; readonly verb: "beats" | "ties"; readonly label: string };

export type Condition = Leaf | { readonly kind: "all" | "any"; readonly parts: readonly Condition[] };

/** A token, and where it begins. */
interface Token {
  readonly text: string;
  readonly at: number;
}

const TOKEN =
  /\s*(&&|\|\||<=|>=|[<>()]|(?:beats|ties)\s*\([^()]*\)|[^\s<>()&|]+(?:\s+(?:[kmgt]i?b|b|%)(?![\w.]))?)\s*/iy;
const VERDICT = /^(beats|ties)\s*\(([^()]*)\)$/i;
/** Parentheses within parentheses: more is no condition that somebody wrote. */
const DEEPEST = 50;

const EXAMPLE = '"kld<=0.05 && size<=6GB && beats(Q4_K_M)"';

/** Parse a condition. Throws UsageError that says where it went wrong, and which measures there are. */
export function parseCondition(text: string): Condition {
  const tokens = tokenize(text);
  let next = 0;
  let depth = 0;
  const peek = () => tokens[next]?.text;
  const fail = (what: string): never => {
    const at = tokens[next]?.at ?? text.length;
    const where = at >= text.trimEnd().length ? "at its end" : `at "${text.slice(at)}"`;
    return refuse(text, `${what} ${where}`);
  };
  const joined = (kind: "all" | "any", sign: string, part: () => Condition): Condition => {
    const parts = [part()];
    while (peek() === sign) {
      next++;
      parts.push(part());
    }
    return parts.length === 1 ? (parts[0] as Condition) : { kind, parts };
  };
  const any = (): Condition => joined("any", "||", all);
  const all = (): Condition => joined("all", "&&", one);
  const one = (): Condition => {
    const token = peek() ?? "";
    if (token === "(") {
      if (++depth > DEEPEST) fail("too many parentheses");
      next++;
      const inner = any();
      if (peek() !== ")") fail('expected "&&", "||" or ")"');
      next++;
      depth--;
      return inner;
    }
    const verdict = VERDICT.exec(token);
    if (verdict !== null) {
      const [, verb = "", label = ""] = verdict;
      if (label.trim() === "") fail("expected the name of a row in the parentheses");
      next++;
      return verdictLeaf(verb.toLowerCase() === "beats" ? "beats" : "ties", label.trim());
    }
    const measure = findMeasure(token);
    if (measure === undefined) return fail("expected a measure, beats(ROW) or ties(ROW)");
    next++;
    const operator = OPERATORS.find((known) => known === peek());
    if (operator === undefined) return fail(`expected one of ${OPERATORS.join(" ")}`);
    next++;
    const limit = peek() === undefined ? { problem: "expected a number" } : parseLimit(measure, peek() ?? "");
    if (typeof limit !== "number") return fail(limit.problem);
    const written = (tokens[next++] as Token).text;
    return { kind: "figure", text: `${measure}${operator}${written}`, measure, operator, limit };
  };
  const condition = any();
  return next === tokens.length ? condition : fail('expected "&&" or "||"');
}

/** The condition as it is shown. */
export function conditionText(condition: Condition): string {
  if (!("parts" in condition)) return condition.text;
  const [sign, weaker] = condition.kind === "all" ? [" && ", "any"] : [" || ", undefined];
  const texts = condition.parts.map((part) =>
    part.kind === weaker ? `(${conditionText(part)})` : conditionText(part),
  );
  return texts.join(sign);
}

/** What a condition is decided by. */
export function leavesOf(condition: Condition): Leaf[] {
  return "parts" in condition ? condition.parts.flatMap(leavesOf) : [condition];
}

function verdictLeaf(verb: "beats" | "ties", label: string): Leaf {
  const name = parseFileType(label) ?? label;
  return { kind: "verdict", text: `${verb}(${name})`, verb, label: name };
}

function tokenize(text: string): Token[] {
  const tokens: Token[] = [];
  TOKEN.lastIndex = 0;
  while (TOKEN.lastIndex < text.length) {
    const from = TOKEN.lastIndex;
    const found = TOKEN.exec(text);
    const token = found?.[1];
    if (token === undefined) return refuse(text, `expected a condition at "${text.slice(from)}"`);
    tokens.push({ text: token, at: text.indexOf(token, from) });
  }
  return tokens;
}

function refuse(text: string, what: string): never {
  throw new UsageError(
    `--require: ${what}; it takes conditions like ${EXAMPLE} on ${MEASURE_NAMES.join(", ")}, got "${text}"`,
  );
}
