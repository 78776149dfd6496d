/**
 * Which overrides reproduce an assignment exactly: anchored patterns for `llama-quantize --tensor-type`, one for every
 * eligible tensor, layers of one class and type sharing a pattern.
 * llama-quantize lower-cases a pattern, compiles it as an ECMAScript std::regex and searches it in the name; the first
 * match wins (tools/quantize/quantize.cpp and src/llama-quant.cpp, v0.5.0). The result is checked by doing the same.
 */
import { byteString, compilePattern, openWork, type Pattern, type Work } from "../allocate/compile-pattern.ts";
import { EXIT, PrismError } from "../errors.ts";
import type { TensorType } from "../ggml/tensor-types.ts";

export interface Override {
  /** ASCII, made of `[a-z0-9_.^$|()\[\]\\-]` only: needs no quoting beyond a pair of single quotes in any shell. */
  readonly pattern: string;
  readonly type: TensorType;
}

export interface TypedTensor {
  readonly name: string;
  readonly type: TensorType;
}

const BLOCK_NAME = /^blk\.(\d+)\.(.+)$/s;

/**
 * The overrides that give every one of `tensors` its type. `others` are names of the same file that no override should
 * touch. Throws PrismError (`ambiguous-pattern`) where two names can't be told apart by a lower-case pattern.
 */
export function overridesFor(tensors: readonly TypedTensor[], others: readonly string[] = []): Override[] {
  const groups = new Map<string, { prefix: string; layers: string[]; suffix: string; type: TensorType }>();
  for (const { name, type } of tensors) {
    const block = BLOCK_NAME.exec(name);
    const suffix = block?.[2] ?? name;
    const key = JSON.stringify([block ? "blk" : "", suffix, type]);
    const group = groups.get(key) ?? { prefix: block ? "blk." : "", layers: [], suffix, type };
    if (block?.[1] !== undefined) group.layers.push(block[1]);
    groups.set(key, group);
  }
  const overrides = [...groups.values()].map(({ prefix, layers, suffix, type }) => ({
    pattern: anchoredPattern(prefix, layers, suffix),
    type,
    wildcards: wildcardCount(suffix),
  }));
  // where a capital became a wildcard, the name spelled without one must be tried first
  overrides.sort((a, b) => a.wildcards - b.wildcards);
  const result = overrides.map(({ pattern, type }) => ({ pattern, type }));
  checkExact(tensors, others, result);
  return result;
}

function anchoredPattern(prefix: string, layers: readonly string[], suffix: string): string {
  if (prefix === "") return `^${literal(suffix)}$`;
  const numbers = [...layers].sort((a, b) => Number(a) - Number(b));
  const choice = numbers.length === 1 ? numbers[0] : `(${numbers.join("|")})`;
  return `^blk\\.${choice}\\.${literal(suffix)}$`;
}

/**
 * Spell a name as a lower-case pattern. Whatever a pattern, a shell or a token list could misread is a wildcard; several
 * for a letter outside ASCII, since std::regex sees bytes.
 */
function literal(name: string): string {
  return [...byteString(name)]
    .map((char) => {
      if (/[a-z0-9_-]/.test(char)) return char;
      if (char === ".") return "\\.";
      // a dot matches no line break
      return char === "\n" || char === "\r" ? "[^a-z]" : ".";
    })
    .join("");
}

function wildcardCount(name: string): number {
  return byteString(name).replace(/[a-z0-9_.-]/g, "").length;
}

/** The pattern of an override as llama-quantize reads it: ASCII capitals are small letters. Throws UsageError. */
export function overridePattern(pattern: string, work?: Work): Pattern {
  return compilePattern(
    pattern.replace(/[A-Z]/g, (letter) => letter.toLowerCase()),
    work,
  );
}

/** The override that llama-quantize applies to each name: the first that matches. Unmatched names are absent. */
export function matchPatterns(names: readonly string[], overrides: readonly Override[]): Map<string, Override> {
  const work = openWork();
  const compiled = overrides.map((override) => ({ pattern: overridePattern(override.pattern, work), override }));
  const matched = new Map<string, Override>();
  for (const name of names) {
    const bytes = byteString(name);
    const match = compiled.find(({ pattern }) => pattern.testBytes(bytes));
    if (match) matched.set(name, match.override);
  }
  return matched;
}

/** What llama-quantize makes of `overrides`: the type per matched name, unmatched names absent. */
export function assignByPatterns(names: readonly string[], overrides: readonly Override[]): Map<string, TensorType> {
  return new Map([...matchPatterns(names, overrides)].map(([name, { type }]) => [name, type]));
}

function checkExact(tensors: readonly TypedTensor[], others: readonly string[], overrides: readonly Override[]): void {
  const assigned = assignByPatterns([...tensors.map(({ name }) => name), ...others], overrides);
  for (const { name, type } of tensors) {
    const got = assigned.get(name);
    if (got === type) continue;
    throw ambiguous(name, `should become ${type} but the patterns give it ${got ?? "no type"}`);
  }
  const touched = others.find((name) => assigned.has(name));
  if (touched !== undefined) throw ambiguous(touched, "is not quantized but a pattern for another tensor matches it");
}

function ambiguous(name: string, what: string): PrismError {
  return new PrismError(
    "ambiguous-pattern",
    EXIT.failure,
    `tensor ${JSON.stringify(name)} ${what}: llama-quantize lower-cases patterns, so names that differ in capitals or ` +
      "special characters only can't be told apart; give these tensors one type (--pin), or quantize with prism quantize",
  );
}
