/**
 * The regular expressions that patterns are: the part of ECMAScript's in which std::regex, RegExp and the matcher here
 * agree (test/allocate/pattern-agreement.test.ts). Whatever one of them lacks or reads differently is refused by name.
 */
import { UsageError } from "../errors.ts";

export type PatternNode =
  | { readonly kind: "byte"; readonly byte: number }
  | { readonly kind: "class"; readonly members: ReadonlySet<number> }
  | { readonly kind: "start" | "end" }
  | { readonly kind: "sequence" | "choice"; readonly parts: readonly PatternNode[] }
  | { readonly kind: "repeat"; readonly of: PatternNode; readonly min: number; readonly max: number };

/** Groups within groups, and copies that a count may ask for; std::regex makes a copy for each too. */
const MOST_NESTED = 100;
const MOST_COPIES = 1000;

const BYTES = Array.from({ length: 256 }, (_, byte) => byte);
const matching = (regex: RegExp): number[] =>
  BYTES.filter((byte) => byte < 128 && regex.test(String.fromCharCode(byte)));
const allBut = (bytes: readonly number[]): number[] => BYTES.filter((byte) => !bytes.includes(byte));

const DIGITS = matching(/[0-9]/);
const WORD = matching(/\w/);
const SPACE = matching(/[\t-\r ]/);

const CLASSES: Readonly<Record<string, readonly number[]>> = {
  d: DIGITS,
  D: allBut(DIGITS),
  w: WORD,
  W: allBut(WORD),
  s: SPACE,
  S: allBut(SPACE),
};
const ANY = new Set(allBut([10, 13]));
const CONTROLS: Readonly<Record<string, number>> = { t: 9, n: 10, v: 11, f: 12, r: 13 };

/** What a group may begin with elsewhere, and its name. */
const GROUPS: readonly (readonly [string, string])[] = [
  ["(?=", "a lookahead"],
  ["(?!", "a lookahead"],
  ["(?<=", "a lookbehind"],
  ["(?<!", "a lookbehind"],
  ["(?<", "a named group"],
  ["(?P", "a named group"],
  ["(?", "a group with flags"],
];

/** Parse a pattern. Throws UsageError that names what is wrong or can't be had, and where. */
export function parsePattern(source: string): PatternNode {
  const parser = new PatternParser(source);
  return parser.all();
}

class PatternParser {
  readonly #source: string;
  #at = 0;
  #depth = 0;

  constructor(source: string) {
    this.#source = source;
  }

  all(): PatternNode {
    const node = this.#choice();
    if (this.#at < this.#source.length) throw this.#wrong(")", "closes no group; write \\)");
    return node;
  }

  #choice(): PatternNode {
    const parts = [this.#sequence()];
    while (this.#take("|")) parts.push(this.#sequence());
    return parts.length === 1 && parts[0] !== undefined ? parts[0] : { kind: "choice", parts };
  }

  #sequence(): PatternNode {
    const parts: PatternNode[] = [];
    while (this.#at < this.#source.length && !this.#sees("|") && !this.#sees(")")) parts.push(...this.#term());
    return { kind: "sequence", parts };
  }

  #term(): readonly PatternNode[] {
    if (this.#take("^")) return this.#unrepeated({ kind: "start" });
    if (this.#take("$")) return this.#unrepeated({ kind: "end" });
    const atom = this.#atom();
    const count = this.#count();
    if (count === undefined) return atom;
    const [of, ...more] = atom;
    if (of === undefined || more.length > 0) {
      throw this.#refused("a letter outside ASCII", "repeated; put it in a group, as in (é)+");
    }
    // lazy: whether a name is matched is the same
    this.#take("?");
    if (this.#count() !== undefined)
      throw this.#refused("a quantifier of a quantifier", "such; group what is repeated");
    return [{ kind: "repeat", of, ...count }];
  }

  #unrepeated(node: PatternNode): readonly PatternNode[] {
    if (this.#count() !== undefined) throw this.#refused("a quantifier of ^ or $", "such; leave it out");
    return [node];
  }

  #atom(): readonly PatternNode[] {
    if (this.#sees("(")) return [this.#group()];
    if (this.#take("[")) return [this.#class()];
    if (this.#take(".")) return [{ kind: "class", members: ANY }];
    const quantifier = ["*", "+", "?", "{"].find((char) => this.#sees(char));
    if (quantifier !== undefined) throw this.#wrong(quantifier, `repeats nothing; write \\${quantifier}`);
    if (this.#take("\\")) {
      const members = this.#escaped();
      if (typeof members === "number") return [{ kind: "byte", byte: members }];
      return [{ kind: "class", members: new Set(members) }];
    }
    return [...new TextEncoder().encode(this.#next())].map((byte) => ({ kind: "byte", byte }));
  }

  #group(): PatternNode {
    const opened = this.#at;
    if (++this.#depth > MOST_NESTED) throw this.#refused(`${this.#depth} groups within each other`, "so many");
    if (!this.#take("(?:")) {
      const named = GROUPS.find(([start]) => this.#sees(start));
      if (named !== undefined) throw this.#refused(`${named[1]}, ${named[0]}`, "such");
      this.#take("(");
    }
    const node = this.#choice();
    if (!this.#take(")")) {
      this.#at = opened;
      throw this.#wrong("(", "is not closed; write \\( for the character");
    }
    this.#depth--;
    return node;
  }

  /** After the bracket. */
  #class(): PatternNode {
    const opened = this.#at - 1;
    const negated = this.#take("^");
    if (this.#sees("]")) throw this.#refused("an empty class, [] or [^]", "such; write \\] for the character");
    const members = new Set<number>();
    let first = true;
    while (!this.#take("]")) {
      if (this.#at >= this.#source.length) {
        this.#at = opened;
        throw this.#wrong("[", "is not closed; write \\[ for the character");
      }
      if (this.#sees("-") && !first && !this.#sees("-]")) throw this.#refused("a - amid a class", "such; write \\-");
      first = false;
      const low = this.#member();
      if (this.#sees("-") && !this.#sees("-]")) {
        this.#take("-");
        const high = this.#member();
        if (typeof low !== "number" || typeof high !== "number") throw this.#refused("a range of classes", "such");
        if (low > high) throw this.#refused("a range that ends before it begins", "such");
        for (let byte = low; byte <= high; byte++) members.add(byte);
      } else for (const byte of typeof low === "number" ? [low] : low) members.add(byte);
    }
    return { kind: "class", members: negated ? new Set(allBut([...members])) : members };
  }

  #member(): number | readonly number[] {
    if (this.#take("\\")) return this.#escaped();
    if (this.#sees("[")) throw this.#refused("[ in a class, as in [[:alpha:]]", "such; write \\[ or, say, [a-z]");
    const char = this.#next();
    if (char > "\x7f") throw this.#refused(`${JSON.stringify(char)}, outside ASCII, in a class`, "such; write (é|è)");
    return char.charCodeAt(0);
  }

  /** What stands after a backslash: a byte, or the bytes of a class. */
  #escaped(): number | readonly number[] {
    if (this.#at >= this.#source.length) throw this.#wrong("\\", "stands at the end; write \\\\ for the character");
    const char = this.#next();
    if (Object.hasOwn(CLASSES, char)) return CLASSES[char] as readonly number[];
    if (Object.hasOwn(CONTROLS, char)) return CONTROLS[char] as number;
    if (/[1-9]/.test(char)) throw this.#refused(`a backreference, \\${char}`, "such");
    if (/[bB]/.test(char)) throw this.#refused(`a word boundary, \\${char}`, "such; write the characters, like [._]");
    if (/[^!-/:-@[-`{-~]/.test(char)) throw this.#refused(`the escape \\${char}`, "such; write the character itself");
    return char.charCodeAt(0);
  }

  #count(): { readonly min: number; readonly max: number } | undefined {
    if (this.#take("*")) return { min: 0, max: Number.POSITIVE_INFINITY };
    if (this.#take("+")) return { min: 1, max: Number.POSITIVE_INFINITY };
    if (this.#take("?")) return { min: 0, max: 1 };
    if (!this.#sees("{")) return undefined;
    const [all, low, comma, high] =
      /^\{(\d{1,9})(,?)(\d{0,9})\}/.exec(this.#source.slice(this.#at, this.#at + 30)) ?? [];
    if (all === undefined || (comma === "" && high !== "")) {
      throw this.#wrong("{", "begins no count like {2}, {2,} or {2,4}; write \\{ for the character");
    }
    const min = Number(low);
    const most = high === "" ? Number.POSITIVE_INFINITY : Number(high);
    const max = comma === "" ? min : most;
    if (min > max) throw this.#wrong(all, "counts down");
    if ((max === Number.POSITIVE_INFINITY ? min : max) > MOST_COPIES) {
      throw this.#refused(`the count ${all}`, `counts above ${MOST_COPIES}`);
    }
    this.#at += all.length;
    return { min, max };
  }

  #sees(text: string): boolean {
    return this.#source.startsWith(text, this.#at);
  }

  #take(text: string): boolean {
    if (!this.#sees(text)) return false;
    this.#at += text.length;
    return true;
  }

  #next(): string {
    const char = String.fromCodePoint(this.#source.codePointAt(this.#at) ?? 0);
    this.#at += char.length;
    return char;
  }

  #wrong(what: string, why: string): UsageError {
    return new UsageError(`not a valid regular expression: ${what} at character ${this.#at + 1} ${why}`);
  }

  #refused(what: string, such: string): UsageError {
    return new UsageError(
      `${what} near character ${this.#at + 1}: a pattern can't have ${such} ` +
        "(it can have . [a-z] (a|b) * + ? {2,4} ^ $ \\d \\w \\s)",
    );
  }
}
