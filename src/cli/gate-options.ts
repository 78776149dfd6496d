/** Gates of the command line: --require, and what a missed one ends with. */
import { Option } from "commander";
import { GateError } from "../errors.ts";
import { gotInWords } from "../run/gates.ts";
import type { GateResult } from "../run/run-document.ts";
import { collect } from "./options.ts";

export function requireOption(example: string): Option {
  return new Option("--require <condition>", `exit with 3 unless it holds, like ${example} (repeatable)`).argParser(
    collect,
  );
}

/** Throws GateError where a file misses a gate, once its result was printed; `remedy` says what to do about it. */
export function requireGates(
  files: readonly { readonly name: string; readonly gates: readonly GateResult[] }[],
  remedy: string,
): void {
  const missed = files.flatMap(({ name, gates }) =>
    gates.filter(({ met }) => !met).map((gate) => ({ name, gate, words: `${gate.gate} (got ${gotInWords(gate)})` })),
  );
  if (missed.length === 0) return;
  const names = [...new Set(missed.map(({ name }) => name))];
  const said = names.map((name) => {
    const words = missed.filter((one) => one.name === name).map((one) => one.words);
    return `${name} misses ${words.join(", ")}`;
  });
  throw new GateError(`${said.join("; ")}; ${remedy}`, {
    gates: missed.map(({ gate }) => gate),
  });
}
