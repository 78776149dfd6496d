/** recipe.ps1: the same for PowerShell, through --tensor-type-file, because Windows caps a command line at 32 KiB. */

import { pathArgument, quotePowerShell } from "../shell-quote.ts";
import type { Plan } from "./plan.ts";
import { printable } from "./printable.ts";
import {
  defaultOutput,
  downloadNote,
  quantizeFlags,
  servingNote,
  sourceArgument,
  versionNote,
} from "./quantize-arguments.ts";
import { describePlan, type RecipeOptions } from "./recipe-sh.ts";
import { renderTensorTypes } from "./tensor-types.ts";

/** Render recipe.ps1: `./recipe.ps1 [IN [OUT]]`; LLAMA_QUANTIZE and THREADS come from the environment. */
export function renderRecipePs1(plan: Plan, options: RecipeOptions = {}): string {
  const flags = quantizeFlags(plan)
    .flat()
    .filter((word) => word !== undefined)
    .map(quotePowerShell);
  const notes = [downloadNote(plan), versionNote(plan), servingNote(plan)].filter((note) => note !== undefined);
  const lines = [
    `# ${printable(describePlan(plan))}`,
    ...notes.map((note) => `# ${note}`),
    "param(",
    `  [string]$Source = ${quotePowerShell(sourceArgument(plan))},`,
    `  [string]$Target = ${quotePowerShell(pathArgument(options.output ?? defaultOutput(plan)))}`,
    ")",
    "$ErrorActionPreference = 'Stop'",
    "$quantize = if ($env:LLAMA_QUANTIZE) { $env:LLAMA_QUANTIZE } else { 'llama-quantize' }",
    "$threads = if ($env:THREADS) { $env:THREADS } else { '0' }",
    "$types = [System.IO.Path]::GetTempFileName()",
    "try {",
    "  [System.IO.File]::WriteAllText($types, @'",
    // every line starts with ^, so none can end the here-string
    renderTensorTypes(plan).trimEnd(),
    "'@)",
    `  $arguments = @(${[...flags, "'--tensor-type-file'", "$types", "$Source", "$Target", `'${plan.baseFileType}'`, "$threads"].join(", ")})`,
    "  & $quantize @arguments",
    "  $code = $LASTEXITCODE",
    "} finally {",
    "  Remove-Item -LiteralPath $types",
    "}",
    "exit $code",
  ];
  return `${lines.join("\n")}\n`;
}
