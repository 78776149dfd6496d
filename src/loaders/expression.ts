/**
 * Expressions of a loader table: C's arithmetic on whole numbers, comparisons, `a ? b : c`, calls and lists. Text →
 * Expression, which knows its own words, so that a message can quote it.
 */

/** Truth is 1 and 0, as in C. */
export type Value = number | string | readonly Value[];

/** Where names are looked up. */
export interface Scope {
  variable(name: string): Value;
  call(name: string, args: readonly Value[]): Value;
}

export interface Expression {
  readonly text: string;
  evaluate(scope: Scope): Value;
}

type Node = (scope: Scope) => Value;

const TOKEN = /\s*(?:(\d+(?:\.\d+)?)|"([^"]*)"|([A-Za-z_][\w.]*)|(\|\||&&|==|!=|<=|>=|[-+*/%<>!?:()[\],|]))/y;

/** Binary operators, the loosest first. */
const LEVELS: readonly (readonly string[])[] = [
  ["||"],
  ["&&"],
  ["|"],
  ["==", "!="],
  ["<", ">", "<=", ">="],
  ["+", "-"],
  ["*", "/", "%"],
];

interface Token {
  readonly kind: "number" | "text" | "name" | "sign";
  readonly text: string;
}

/** Parse an expression. Throws SyntaxError: the tables come with the program, a fault in one is ours. */
export function parseExpression(text: string): Expression {
  const reader = new Reader(text);
  const node = ternary(reader);
  reader.end();
  return { text, evaluate: node };
}

/** Parse expressions between commas. */
export function parseExpressions(text: string): Expression[] {
  return splitList(text).map(parseExpression);
}

/** Text with expressions in braces, such as a tensor's name: `blk.{i}.attn_q.weight`. */
export function parseTemplate(text: string): Expression {
  const parts = text.split(/\{([^{}]*)\}/).map((part, index) => (index % 2 === 0 ? part : parseExpression(part)));
  const evaluate: Node = (scope) =>
    parts.map((part) => (typeof part === "string" ? part : String(part.evaluate(scope)))).join("");
  return { text, evaluate };
}

/** Whether a value counts as true. */
export function isTrue(value: Value): boolean {
  return typeof value === "number" ? value !== 0 : value.length > 0;
}

function splitList(text: string): string[] {
  let depth = 0;
  let start = 0;
  const parts: string[] = [];
  for (let index = 0; index < text.length; index++) {
    const sign = text[index] as string;
    if ("([".includes(sign)) depth++;
    if (")]".includes(sign)) depth--;
    if (sign !== "," || depth > 0) continue;
    parts.push(text.slice(start, index).trim());
    start = index + 1;
  }
  const last = text.slice(start).trim();
  return last === "" ? parts : [...parts, last];
}

class Reader {
  readonly #tokens: Token[] = [];
  #next = 0;

  constructor(text: string) {
    TOKEN.lastIndex = 0;
    const whole = text.trimEnd();
    while (TOKEN.lastIndex < whole.length) {
      const at = TOKEN.lastIndex;
      const match = TOKEN.exec(whole);
      if (match === null) throw new SyntaxError(`"${text}" at ${at}`);
      const [, number, quoted, name, sign] = match;
      if (number !== undefined) this.#tokens.push({ kind: "number", text: number });
      else if (quoted !== undefined) this.#tokens.push({ kind: "text", text: quoted });
      else if (name !== undefined) this.#tokens.push({ kind: "name", text: name });
      else this.#tokens.push({ kind: "sign", text: sign as string });
    }
  }

  /** Take the next token if it is one of these signs. */
  take(signs: readonly string[]): string | undefined {
    const token = this.#tokens[this.#next];
    if (token?.kind !== "sign" || !signs.includes(token.text)) return undefined;
    this.#next++;
    return token.text;
  }

  expect(sign: string): void {
    if (this.take([sign]) === undefined) throw new SyntaxError(`expected ${sign}`);
  }

  operand(): Token {
    const token = this.#tokens[this.#next++];
    if (token === undefined || token.kind === "sign") throw new SyntaxError(`no operand: ${token?.text ?? "the end"}`);
    return token;
  }

  end(): void {
    const token = this.#tokens[this.#next];
    if (token !== undefined) throw new SyntaxError(`too much: ${token.text}`);
  }
}

function ternary(reader: Reader): Node {
  const condition = binary(reader, 0);
  if (reader.take(["?"]) === undefined) return condition;
  const yes = ternary(reader);
  reader.expect(":");
  const no = ternary(reader);
  return (scope) => (isTrue(condition(scope)) ? yes(scope) : no(scope));
}

function binary(reader: Reader, level: number): Node {
  const signs = LEVELS[level];
  if (signs === undefined) return unary(reader);
  let left = binary(reader, level + 1);
  for (let sign = reader.take(signs); sign !== undefined; sign = reader.take(signs)) {
    left = operation(sign, left, binary(reader, level + 1));
  }
  return left;
}

function operation(sign: string, left: Node, right: Node): Node {
  if (sign === "&&") return (scope) => Number(isTrue(left(scope)) && isTrue(right(scope)));
  if (sign === "||") return (scope) => Number(isTrue(left(scope)) || isTrue(right(scope)));
  return (scope) => compute(sign, left(scope), right(scope));
}

function compute(sign: string, a: Value, b: Value): number {
  if (sign === "==") return Number(a === b);
  if (sign === "!=") return Number(a !== b);
  if (typeof a !== "number" || typeof b !== "number") throw new TypeError(`${sign} of what is no number`);
  switch (sign) {
    case "|":
      return a | b;
    case "<":
      return Number(a < b);
    case ">":
      return Number(a > b);
    case "<=":
      return Number(a <= b);
    case ">=":
      return Number(a >= b);
    case "+":
      return a + b;
    case "-":
      return a - b;
    case "*":
      return a * b;
    default:
      // the processor ends llama.cpp here
      if (b === 0) throw new RangeError("division by zero");
      return sign === "/" ? Math.trunc(a / b) : a % b;
  }
}

function unary(reader: Reader): Node {
  const sign = reader.take(["!", "-"]);
  if (sign === undefined) return primary(reader);
  const operand = unary(reader);
  return sign === "!" ? (scope) => Number(!isTrue(operand(scope))) : (scope) => compute("-", 0, operand(scope));
}

function primary(reader: Reader): Node {
  if (reader.take(["("]) !== undefined) {
    const inner = ternary(reader);
    reader.expect(")");
    return inner;
  }
  const { kind, text } = reader.operand();
  if (kind === "number") return () => Number(text);
  if (kind === "text") return parseTemplate(text).evaluate;
  if (reader.take(["("]) !== undefined) {
    const args = callArguments(reader);
    return (scope) =>
      scope.call(
        text,
        args.map((arg) => arg(scope)),
      );
  }
  if (reader.take(["["]) !== undefined) {
    const index = ternary(reader);
    reader.expect("]");
    return (scope) => element(scope.variable(text), index(scope));
  }
  return (scope) => scope.variable(text);
}

function callArguments(reader: Reader): Node[] {
  const args: Node[] = [];
  if (reader.take([")"]) !== undefined) return args;
  do args.push(ternary(reader));
  while (reader.take([","]) !== undefined);
  reader.expect(")");
  return args;
}

function element(list: Value, index: Value): Value {
  return Array.isArray(list) && typeof index === "number" ? ((list[index] as Value | undefined) ?? 0) : 0;
}
