/** Tokens per second as text: a line for each file that was timed, and what was measured. */
import type { Speed } from "../../evaluate/speed.ts";
import { formatRate } from "./mean-se.ts";
import { formatTable } from "./table.ts";
import { fitLines, TERMINAL_WIDTH } from "./wrap-words.ts";

export interface TimedFile {
  readonly name: string;
  readonly speed?: Speed | undefined;
}

/** Nothing where nothing was timed. */
export function speedLines(files: readonly TimedFile[], width = TERMINAL_WIDTH): string[] {
  const timed = files.flatMap(({ name, speed }) => (speed === undefined ? [] : [{ name, speed }]));
  const [first] = timed;
  if (first === undefined) return [];
  const { promptTokens, generatedTokens, rounds, threads, gpuLayers } = first.speed;
  const inThreads = `${threads} ${threads === 1 ? "thread" : "threads"}`;
  const where = gpuLayers === undefined ? inThreads : `${gpuLayers} layers on the GPU, ${inThreads}`;
  const table = formatTable(
    [{ header: "tokens per second" }, { header: "prompt", align: "right" }, { header: "generation", align: "right" }],
    timed.map(({ name, speed }) => [name, formatRate(speed.prompt), formatRate(speed.generation)]),
    width,
  );
  return [
    "",
    table,
    fitLines(`(${promptTokens} and ${generatedTokens} tokens, ${rounds} rounds in turn; ${where})`, width),
  ];
}
