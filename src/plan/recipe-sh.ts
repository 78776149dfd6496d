/** recipe.sh: a POSIX script that runs llama-quantize with everything the plan says. */

import { pathArgument, quoteSh } from "../shell-quote.ts";
import type { Plan } from "./plan.ts";
import { printable } from "./printable.ts";
import {
  defaultOutput,
  downloadNote,
  quantizeFlagsSh,
  servingNote,
  sourceArgument,
  versionNote,
} from "./quantize-arguments.ts";
import { overrideToken, planOverrides } from "./tensor-types.ts";

/** Bytes of overrides on a command line before the script goes through a file (Linux: 128 KiB per argument, macOS: 1 MiB in all). */
const COMMAND_LINE_BYTES = 100_000;

export interface RecipeOptions {
  /** Path written by default, when the script is called without a second argument. */
  readonly output?: string;
}

/** Render recipe.sh: `sh recipe.sh [IN [OUT]]`; LLAMA_QUANTIZE and THREADS come from the environment. */
export function renderRecipeSh(plan: Plan, options: RecipeOptions = {}): string {
  const tokens = planOverrides(plan).map(overrideToken);
  const viaFile = tokens.reduce((bytes, token) => bytes + token.length + 18, 0) > COMMAND_LINE_BYTES;
  const flags = quantizeFlagsSh(plan);
  const notes = [downloadNote(plan), versionNote(plan), servingNote(plan)].filter((note) => note !== undefined);
  const head = [
    "#!/bin/sh",
    `# ${printable(describePlan(plan))}`,
    "# usage: sh recipe.sh [IN.gguf [OUT.gguf]]; LLAMA_QUANTIZE names the program, THREADS how many it uses",
    ...notes.map((note) => `# ${note}`),
    "set -eu",
    `in=${quoteSh(sourceArgument(plan))}`,
    `out=${quoteSh(pathArgument(options.output ?? defaultOutput(plan)))}`,
    `quantize=\${LLAMA_QUANTIZE:-llama-quantize}`,
    'if [ "$#" -ge 1 ]; then in=$1; fi',
    'if [ "$#" -ge 2 ]; then out=$2; fi',
  ];
  const positionals = `"$in" "$out" ${plan.baseFileType} "\${THREADS:-0}"`;
  return `${[...head, ...(viaFile ? fileForm(tokens, flags, positionals) : flagForm(tokens, flags, positionals))].join("\n")}\n`;
}

function flagForm(tokens: readonly string[], flags: readonly string[], positionals: string): string[] {
  return [
    'exec "$quantize" \\',
    ...flags.map((flag) => `  ${flag} \\`),
    ...tokens.map((token) => `  --tensor-type ${quoteSh(token)} \\`),
    `  ${positionals}`,
  ];
}

function fileForm(tokens: readonly string[], flags: readonly string[], positionals: string): string[] {
  return [
    "types=$(mktemp)",
    "trap 'rm -f \"$types\"' EXIT",
    "cat >\"$types\" <<'END_OF_TENSOR_TYPES'",
    ...tokens,
    "END_OF_TENSOR_TYPES",
    '"$quantize" \\',
    ...flags.map((flag) => `  ${flag} \\`),
    '  --tensor-type-file "$types" \\',
    `  ${positionals}`,
  ];
}

/** What a recipe makes, in one line. */
export function describePlan(plan: Plan): string {
  const { fileBytes, bpw } = plan.predicted;
  const name = plan.source.name ?? plan.source.path;
  return `PRISM plan for ${name}: ${fileBytes} bytes, ${bpw.toFixed(4)} bits per weight (${plan.budget.text})`;
}
