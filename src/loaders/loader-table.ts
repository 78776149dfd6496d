/**
 * The tables of data/loaders, a file an architecture, as statements: which keys llama.cpp v0.5.0 reads, of which type, and
 * which tensors it wants, of which shape. data/loaders/README.md describes the notation.
 */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { ARCHITECTURES } from "../ggml/architectures.ts";
import { type Expression, parseExpression, parseExpressions, parseTemplate } from "./expression.ts";

/** Types of values as llama.cpp asks for them. */
export type AskedType = "u32" | "i32" | "u64" | "f32" | "bool" | "str";

export interface KeyStatement {
  /** One value, a list, a value for each layer (one for all, or a list of exactly that many), or a list's length. */
  readonly do: "key" | "list" | "each" | "length";
  readonly type: AskedType;
  /** `~` stands for the architecture's name and a dot. */
  readonly key: string;
  readonly optional: boolean;
  /** Of "each". */
  readonly count?: Expression;
  readonly into?: string;
  /** Set to whether the key is there. */
  readonly found?: string;
}

export interface TensorStatement {
  readonly do: "tensor";
  readonly name: Expression;
  readonly dims: readonly Expression[];
  readonly flags: Expression;
  /** Set to whether the tensor is there. */
  readonly found?: string;
}

export type Statement =
  | KeyStatement
  | TensorStatement
  /** attn_qkv, or attn_q, attn_k and attn_v; ffn_gate_up_exps, or ffn_gate_exps and ffn_up_exps. */
  | {
      readonly do: "qkv" | "gate_up_exps";
      readonly layer: Expression;
      readonly dims: readonly Expression[];
      readonly flags: Expression;
    }
  | { readonly do: "let"; readonly name: string; readonly index?: Expression; readonly value: Expression }
  | { readonly do: "fill"; readonly name: string; readonly value: Expression }
  | {
      readonly do: "if";
      readonly condition: Expression;
      readonly yes: readonly Statement[];
      readonly no: readonly Statement[];
    }
  | {
      readonly do: "for";
      readonly name: string;
      readonly from: Expression;
      readonly to: Expression;
      readonly body: readonly Statement[];
    }
  /** `condition` ends the load; `message` says why. */
  | { readonly do: "refuse"; readonly condition: Expression; readonly message: string }
  | { readonly do: "swa_pattern" | "set_swa_pattern"; readonly period: Expression; readonly denseFirst: boolean }
  /** Go on with the next round of the loop, or leave the table. */
  | { readonly do: "next" | "return" };

export interface LoaderTable {
  readonly hyperparameters: readonly Statement[];
  readonly tensors: readonly Statement[];
}

const FOLDER = fileURLToPath(new URL("../../data/loaders", import.meta.url));
const tables = new Map<string, LoaderTable>();

/** What llama.cpp reads of every model, before its architecture's own keys. */
export function everyModel(): LoaderTable {
  return readTable("every-model");
}

/** The table of an architecture; undefined for one that llama.cpp does not load. */
export function loaderTable(arch: string): LoaderTable | undefined {
  if (!ARCHITECTURES.has(arch) || NOT_LOADED.has(arch)) return undefined;
  return readTable(arch);
}

/** Known by name only: an image projector, and an architecture that has no loader. */
const NOT_LOADED: ReadonlySet<string> = new Set(["clip", "gptj"]);

/** The architectures that have a table. */
export function loadableArchitectures(): string[] {
  return [...ARCHITECTURES].filter((arch) => !NOT_LOADED.has(arch));
}

/** Whether an architecture can have MTP layers. */
export function takesNextn(arch: string): boolean {
  const asksNextn = (statements: readonly Statement[]): boolean =>
    statements.some((statement) => {
      if (statement.do === "tensor") return statement.name.text.includes(".nextn.");
      if (statement.do === "if") return asksNextn(statement.yes) || asksNextn(statement.no);
      return statement.do === "for" && asksNextn(statement.body);
    });
  return asksNextn(loaderTable(arch)?.tensors ?? []);
}

function readTable(name: string): LoaderTable {
  const known = tables.get(name);
  if (known !== undefined) return known;
  const lines = readFileSync(`${FOLDER}/${name}.txt`, "utf8")
    .split("\n")
    .filter((line) => line.trim() !== "" && !line.startsWith("#"));
  const same = /^same as (\S+)$/.exec(lines[0] ?? "")?.[1];
  const table = same === undefined ? parseTable(lines) : readTable(same);
  tables.set(name, table);
  return table;
}

/** Lines without comments → the table. Throws SyntaxError. */
export function parseTable(lines: readonly string[]): LoaderTable {
  const split = lines.indexOf("tensors");
  const [keys, tensors] = split < 0 ? [lines, []] : [lines.slice(0, split), lines.slice(split + 1)];
  return { hyperparameters: parseBlock(keys), tensors: parseBlock(tensors) };
}

const indentOf = (line: string): number => line.length - line.trimStart().length;

function parseBlock(lines: readonly string[]): Statement[] {
  const statements: Statement[] = [];
  for (let index = 0; index < lines.length; ) {
    const line = lines[index] as string;
    const inner = innerOf(lines, index);
    index += 1 + inner.length;
    const words = line.trim();
    if (words === "else") {
      const before = statements.pop();
      if (before?.do !== "if") throw new SyntaxError("else without if");
      statements.push({ ...before, no: parseBlock(inner) });
    } else statements.push(parseStatement(words, inner));
  }
  return statements;
}

/** The lines after `index` that are indented deeper. */
function innerOf(lines: readonly string[], index: number): string[] {
  const depth = indentOf(lines[index] as string);
  const rest = lines.slice(index + 1);
  const end = rest.findIndex((line) => indentOf(line) <= depth);
  return end < 0 ? rest : rest.slice(0, end);
}

function parseStatement(line: string, inner: readonly string[]): Statement {
  const rest = line.slice(line.indexOf(" ") + 1);
  switch (/^[a-z_]+(?= |$)/.exec(line)?.[0]) {
    case "if":
      return { do: "if", condition: parseExpression(rest), yes: parseBlock(inner), no: [] };
    case "for":
      return parseFor(rest, inner);
    case "refuse":
    case "require": {
      const at = rest.lastIndexOf(" : ");
      const condition = rest.slice(0, at);
      const fails = line.startsWith("refuse") ? condition : `!(${condition})`;
      return { do: "refuse", condition: parseExpression(fails), message: rest.slice(at + 3) };
    }
    case "swa_pattern":
    case "set_swa_pattern": {
      const kind = line.startsWith("set_") ? "set_swa_pattern" : "swa_pattern";
      const period = parseExpression(rest.replace(" dense first", ""));
      return { do: kind, period, denseFirst: line.endsWith(" dense first") };
    }
    case "next":
    case "return":
      return { do: line as "next" | "return" };
    default:
      return parseKey(line) ?? parseTensor(line) ?? parseAssignment(line);
  }
}

function parseFor(rest: string, body: readonly string[]): Statement {
  const [, name = "", from = "", to = ""] = /^(\w+) in (.*) \.\. (.*)$/.exec(rest) ?? [];
  return { do: "for", name, from: parseExpression(from), to: parseExpression(to), body: parseBlock(body) };
}

function parseKey(line: string): KeyStatement | undefined {
  const match =
    /^(?:(\w+) = )?(key|list|each|length)(?: (u32|i32|u64|f32|bool|str))? ([\w.~]+)(\?)?(?: \* (.*?))?(?: -> ([\w.]+))?$/.exec(
      line,
    );
  if (match === null) return undefined;
  const [, found, kind, type = "u32", key = "", question, count, into] = match;
  return {
    do: kind as KeyStatement["do"],
    type: type as AskedType,
    key,
    optional: question !== undefined,
    ...(count !== undefined && { count: parseExpression(count) }),
    ...(into !== undefined && { into }),
    ...(found !== undefined && { found }),
  };
}

function parseTensor(line: string): Statement | undefined {
  const match = /^(?:([\w.]+) <- )?(?:(qkv|gate_up_exps) )?([\w.{}()]+)(\?)? \[(.*)\](?: : (.*))?$/.exec(line);
  if (match === null) return undefined;
  const [, found, kind, name = "", question, dims = "", flags = "0"] = match;
  const shape = parseExpressions(dims);
  const parsed = parseExpression(question === undefined ? flags : "OPTIONAL");
  if (kind !== undefined) {
    return { do: kind as "qkv" | "gate_up_exps", layer: parseTemplate(name), dims: shape, flags: parsed };
  }
  return { do: "tensor", name: parseTemplate(name), dims: shape, flags: parsed, ...(found !== undefined && { found }) };
}

function parseAssignment(line: string): Statement {
  const match = /^([\w.]+)(?:\[(.*?)\])? = (.*)$/.exec(line);
  if (match === null) throw new SyntaxError(line);
  const [, name = "", index, value = ""] = match;
  if (index === "") return { do: "fill", name, value: parseExpression(value) };
  return {
    do: "let",
    name,
    value: parseExpression(value),
    ...(index !== undefined && { index: parseExpression(index) }),
  };
}
