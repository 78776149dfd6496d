/**
 * Matching without backtracking, in time that grows with the length of a name whatever the pattern: an NFA over bytes
 * (Thompson's), whose sets of states are kept as those of a DFA as they come up. std::regex sees bytes too.
 */
import { UsageError } from "../errors.ts";
import { type PatternNode, parsePattern } from "./pattern-syntax.ts";

export interface Pattern {
  /** Whether the pattern is found anywhere in the UTF-8 bytes of a text. */
  test(text: string): boolean;
  /** The same of what `byteString()` made. */
  testBytes(bytes: string): boolean;
}

/** The UTF-8 bytes of a text as characters. */
export function byteString(text: string): string {
  if (/^[\0-\x7f]*$/.test(text)) return text;
  return [...new TextEncoder().encode(text)].map((byte) => String.fromCharCode(byte)).join("");
}

/** What may still be done for patterns that came together: of a recipe, say. */
export interface Work {
  left: number;
}

/** Bytes looked at in names: some seconds of them. A set costs memory too, and every state visited to make it time. */
const MOST_WORK = 2e9;
const SET_WORK = 2000;
const VISIT_WORK = 100;
/** States of an NFA: std::regex gives up at as many. */
const MOST_STATES = 100_000;

export function openWork(): Work {
  return { left: MOST_WORK };
}

/** Compile a pattern. Throws UsageError for what is wrong or not supported; its `test()` where the work is used up. */
export function compilePattern(source: string, work: Work = openWork()): Pattern {
  const node = parsePattern(source);
  const program = new Program();
  const first = program.emit(node, MATCH);
  const literal = longestLiteral(node);
  const matcher = new Matcher(source, program, first, work);
  const testBytes = (bytes: string) => {
    matcher.spend(bytes.length >> 3);
    return bytes.includes(literal) && matcher.find(bytes);
  };
  return { testBytes, test: (text) => testBytes(byteString(text)) };
}

/** Bytes of a literal that are looked for: most patterns fail by theirs, at a fraction of the work. */
const LONGEST_LITERAL = 64;

/** The longest run of bytes that every match holds, its beginning at least. */
function longestLiteral(node: PatternNode): string {
  let [run, longest] = ["", ""];
  const walk = (part: PatternNode): void => {
    if (part.kind === "sequence") part.parts.forEach(walk);
    else if (part.kind === "byte") {
      if (run.length < LONGEST_LITERAL) run += String.fromCharCode(part.byte);
      if (run.length > longest.length) longest = run;
    } else if (part.kind !== "start" && part.kind !== "end") run = "";
  };
  walk(node);
  return longest;
}

/** The state that is reached where all is matched. */
const MATCH = 0;

type Step =
  | { readonly kind: "byte"; readonly byte: number; readonly to: number }
  | { readonly kind: "class"; readonly members: ReadonlySet<number>; readonly to: number }
  | { readonly kind: "start" | "end"; readonly to: number }
  | { readonly kind: "split"; to: number; readonly or: number }
  | { readonly kind: "match" };

class Program {
  readonly steps: Step[] = [{ kind: "match" }];
  #emitted = 0;

  /** Add the states of a node that go on at `to`; returns the first. Copies of nothing count too. */
  emit(node: PatternNode, to: number): number {
    if (++this.#emitted > MOST_STATES) {
      throw new UsageError(`a pattern of more than ${MOST_STATES} states; give it smaller counts, or make it shorter`);
    }
    switch (node.kind) {
      case "byte":
      case "class":
      case "start":
      case "end":
        return this.#add({ ...node, to });
      case "sequence":
        return node.parts.reduceRight((next, part) => this.emit(part, next), to);
      case "choice":
        return node.parts
          .map((part) => this.emit(part, to))
          .reduceRight((or, branch) => this.#add({ kind: "split", to: branch, or }));
      case "repeat":
        return this.#repeat(node, to);
    }
  }

  #repeat({ of, min, max }: Extract<PatternNode, { kind: "repeat" }>, to: number): number {
    let next = to;
    if (max === Number.POSITIVE_INFINITY) {
      const split: Step = { kind: "split", to, or: to };
      next = this.#add(split);
      split.to = this.emit(of, next);
    } else {
      for (let copy = min; copy < max; copy++) next = this.#add({ kind: "split", to: this.emit(of, next), or: to });
    }
    for (let copy = 0; copy < min; copy++) next = this.emit(of, next);
    return next;
  }

  #add(step: Step): number {
    return this.steps.push(step) - 1;
  }
}

/** States of the NFA that may go on, as one state of the DFA. */
interface StateSet {
  /** Those that wait for a byte. */
  readonly waiting: readonly number[];
  readonly matched: boolean;
  readonly matchedAtEnd: boolean;
  readonly next: Map<number, StateSet>;
}

class Matcher {
  readonly #source: string;
  readonly #steps: readonly Step[];
  readonly #first: number;
  readonly #work: Work;
  readonly #sets = new Map<string, StateSet>();
  #begin: StateSet | undefined;

  constructor(source: string, { steps }: Program, first: number, work: Work) {
    this.#source = source;
    this.#steps = steps;
    this.#first = first;
    this.#work = work;
  }

  find(bytes: string): boolean {
    this.#begin ??= this.#setOf([this.#first], true);
    let set = this.#begin;
    let at = 0;
    // nothing waits, and the end alone does not match: nothing can any more
    while (!set.matched && at < bytes.length && (set.waiting.length > 0 || set.matchedAtEnd)) {
      const byte = bytes.charCodeAt(at++);
      let next = set.next.get(byte);
      if (next === undefined) {
        next = this.#after(set, byte);
        set.next.set(byte, next);
      }
      set = next;
    }
    this.spend(at);
    return set.matched || (at === bytes.length && set.matchedAtEnd);
  }

  #after({ waiting }: StateSet, byte: number): StateSet {
    this.spend(VISIT_WORK * waiting.length);
    const reached = waiting.flatMap((index) => {
      const step = this.#steps[index];
      const takes = step?.kind === "byte" ? step.byte === byte : step?.kind === "class" && step.members.has(byte);
      return takes ? [(step as { to: number }).to] : [];
    });
    // a match may begin at every byte
    return this.#setOf([...new Set([...reached, this.#first])], false);
  }

  #setOf(reached: readonly number[], atStart: boolean): StateSet {
    const key = `${atStart} ${[...reached].sort((a, b) => a - b).join(" ")}`;
    const known = this.#sets.get(key);
    if (known !== undefined) return known;
    const { waiting, matched } = this.#closure(reached, atStart, false);
    const set = { waiting, matched, matchedAtEnd: this.#closure(reached, atStart, true).matched, next: new Map() };
    this.#sets.set(key, set);
    return set;
  }

  /** All that can be reached without a byte. */
  #closure(reached: readonly number[], atStart: boolean, atEnd: boolean) {
    const seen = new Set(reached);
    const waiting: number[] = [];
    // grows while it is walked
    for (const index of seen) {
      const step = this.#steps[index] as Step;
      if (step.kind === "byte" || step.kind === "class") waiting.push(index);
      else if (step.kind === "split") seen.add(step.to).add(step.or);
      else if ((step.kind === "start" && atStart) || (step.kind === "end" && atEnd)) seen.add(step.to);
    }
    this.spend(SET_WORK + VISIT_WORK * seen.size);
    return { waiting, matched: seen.has(MATCH) };
  }

  spend(amount: number): void {
    this.#work.left -= amount;
    if (this.#work.left >= 0) return;
    throw new UsageError(
      `matching the pattern ${JSON.stringify(this.#source.slice(0, 200))} takes too long; make the patterns simpler or fewer`,
    );
  }
}
