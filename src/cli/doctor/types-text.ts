/** How fast each type is, as a table. */
import type { TypeSpeed, TypeSpeeds } from "../../evaluate/type-speeds.ts";
import { printable } from "../../plan/printable.ts";
import { formatMeanSe } from "../../report/terminal/mean-se.ts";
import { formatTable } from "../../report/terminal/table.ts";
import { TERMINAL_WIDTH, wrapWords } from "../../report/terminal/wrap-words.ts";

/** Render the table, and what its figures are of. Ends with a line break. */
export function renderTypes(speeds: TypeSpeeds): string {
  const { devices, threads, gpuLayers, promptTokens, generatedTokens, rounds, steady, types } = speeds;
  const table = formatTable(
    [
      { header: "type" },
      { header: "bits", align: "right" },
      { header: "generation", align: "right" },
      { header: "prompt", align: "right" },
      { header: "slow against" },
    ],
    types.map((speed) => [
      speed.type,
      speed.bpw.toFixed(2),
      formatMeanSe(speed.generation),
      formatMeanSe(speed.prompt),
      slownessOf(speed),
    ]),
  );
  const using = threads === 1 ? "1 thread" : `${threads} threads`;
  const where = gpuLayers === undefined ? using : `${gpuLayers} layers on the GPU, ${using}`;
  const notes = [
    ...(steady ? [] : ["! the machine does other work: speeds change from round to round; measure again"]),
    `${devices.map(printable).join(", ")}; ${where}; ${promptTokens} and ${generatedTokens} tokens, ${rounds} rounds in turn`,
    "In billions of weights times tokens per second: a model of 8 billion weights does an eighth of it. A type is slow against one of as many bits or more that is at least a quarter faster in generation, or twice as fast in prompts; --types of plan and run lists those that a plan may choose.",
  ];
  return `${[table, "", ...notes.map((note) => wrapWords(note, TERMINAL_WIDTH))].join("\n")}\n`;
}

function slownessOf({ slowGeneration, slowPrompt }: TypeSpeed): string {
  if (slowGeneration !== undefined && slowGeneration === slowPrompt) return slowGeneration;
  return [
    ...(slowGeneration === undefined ? [] : [`${slowGeneration} (generation)`]),
    ...(slowPrompt === undefined ? [] : [`${slowPrompt} (prompt)`]),
  ].join(", ");
}
