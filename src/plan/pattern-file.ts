/**
 * Text files of PATTERN=TYPE: what `llama-quantize --tensor-type-file` reads (tokens between white space), the recipes of
 * Thireus' GGUF Tool Suite (the same with comment lines) and the argument of ik_llama.cpp's `--custom-q` (commas between).
 * All three search a pattern in the name and take the first that matches.
 */
import { FormatError } from "../errors.ts";
import { parseTensorType } from "../ggml/tensor-types.ts";
import { foreignProgram } from "../gguf/foreign-types.ts";
import { type Override, overridePattern } from "./patterns.ts";
import { printable } from "./printable.ts";

/** As many as a published recipe may have; the longest of the GGUF Tool Suite has some hundreds. */
const MAX_OVERRIDES = 10_000;

/** Read the overrides in their order. Throws FormatError for anything else than overrides, and for types of other programs. */
export function parsePatternFile(text: string, path: string): Override[] {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  const overrides = lines.flatMap((line, index) => {
    if (/^\s*#/.test(line)) return [];
    const where = `line ${index + 1}`;
    return line
      .split(/\s+/)
      .filter((token) => token !== "")
      .flatMap((token) => parseToken(token, path, where));
  });
  if (overrides.length === 0) throw new FormatError(path, `names no tensor type; ${EXPECTED}`);
  if (overrides.length <= MAX_OVERRIDES) return overrides;
  throw new FormatError(path, `has ${overrides.length} patterns, expected ${MAX_OVERRIDES} at most`);
}

const EXPECTED =
  "expected lines like blk\\.0\\.ffn_down=q6_K, as --tensor-type-file of llama-quantize and the recipes of the GGUF Tool Suite have them";

/** A type holds no comma: what follows one is the next override. */
function parseToken(token: string, path: string, where: string): Override[] {
  const overrides: Override[] = [];
  for (let rest = token; rest !== ""; ) {
    const [, pattern = "", typeName = "", more = ""] = /^([^=]+)=([^,]+),?(.*)$/s.exec(rest) ?? [];
    if (pattern === "") {
      throw new FormatError(path, `${where}: "${printable(rest.slice(0, 60))}" is no PATTERN=TYPE; ${EXPECTED}`);
    }
    overrides.push({ pattern: checkedPattern(pattern, path, where), type: typeOf(typeName, path, where) });
    rest = more;
  }
  return overrides;
}

function checkedPattern(pattern: string, path: string, where: string): string {
  try {
    overridePattern(pattern);
    return pattern;
  } catch (error) {
    throw new FormatError(path, `${where}: pattern ${JSON.stringify(pattern)}: ${(error as Error).message}`, {
      cause: error,
    });
  }
}

function typeOf(name: string, path: string, where: string): Override["type"] {
  const type = parseTensorType(name);
  if (type !== undefined) return type;
  const program = foreignProgram(name);
  const problem =
    program === undefined
      ? `"${printable(name.slice(0, 40))}" is no tensor type; give one like q4_K, iq3_s or f16`
      : `${name.toUpperCase()} is a type of ${program}, which llama.cpp can neither make nor read; take a recipe made of llama.cpp's types, or carry this one out with ${program}`;
  throw new FormatError(path, `${where}: ${problem}`);
}
