/** What a model takes of a GPU's memory, presets by contexts, and what fits. */
import { beyondTraining } from "../../footprint/context-size.ts";
import { formatInteger, formatSize } from "../../numbers.ts";
import type { InspectedFit, InspectedMemory, InspectedPreset } from "../../preflight/inspection.ts";
import { formatTable } from "./table.ts";
import { displayWidth, TERMINAL_WIDTH, wrapWords } from "./wrap-words.ts";

type Row = readonly [name: string, fits: readonly InspectedFit[]];

/** Render it; the presets smallest first, with their memory. Contexts that have no room stand below. No final line break. */
export function inspectedMemoryTable(
  memory: InspectedMemory,
  presets: readonly InspectedPreset[],
  width = TERMINAL_WIDTH,
): string {
  const rows: readonly Row[] = [
    ...presets.map(({ fileType, memory: fits = [] }): Row => [fileType, fits]),
    ["as it is", memory.asIs],
  ];
  const contexts = memory.contexts.map(({ context }) => context);
  const footer = [marks(memory, rows) + parts(memory), ...warnings(memory)].map((line) => wrapWords(line, width));
  return [tables(contexts, rows, width).join("\n\n"), ...footer].join("\n");
}

/** As few tables as have room in these columns. */
function tables(contexts: readonly number[], rows: readonly Row[], width: number): string[] {
  for (let count = 1; ; count++) {
    const each = Math.ceil(contexts.length / count);
    const starts = contexts.flatMap((_, index) => (index % each === 0 ? [index] : []));
    const made = starts.map((start) => tableOf(contexts, rows, start, start + each));
    if (each <= 1 || made.every((table) => table.split("\n").every((line) => displayWidth(line) <= width))) return made;
  }
}

function tableOf(contexts: readonly number[], rows: readonly Row[], start: number, end: number): string {
  return formatTable(
    [
      { header: "GPU memory at" },
      ...contexts.slice(start, end).map((context) => ({ header: formatInteger(context), align: "right" as const })),
      { header: "tokens" },
    ],
    rows.map(([name, fits]) => [name, ...fits.slice(start, end).map(cell)]),
    Number.POSITIVE_INFINITY,
  );
}

function cell({ totalBytes, fits }: InspectedFit): string {
  return `${formatSize(totalBytes)}${fits === undefined ? "" : fits ? " *" : "  "}`;
}

/** What the stars mean, or what would fit where there are none. */
function marks({ vramBytes, contexts, longestContext }: InspectedMemory, rows: readonly Row[]): string {
  if (vramBytes === undefined) return "";
  const size = formatSize(vramBytes);
  if (rows.some(([, fits]) => fits.some((fit) => fit.fits))) return `*: fits ${size}. `;
  const [{ context: shortest } = { context: 0 }] = contexts;
  const where = contexts.length === 1 ? `${formatInteger(shortest)} tokens` : "these contexts";
  if (longestContext === undefined) return `Nothing fits ${size} at ${where}, nor at a shorter one. `;
  const would = `up to ${formatInteger(longestContext)} tokens`;
  return longestContext < shortest
    ? `Nothing fits ${size} at ${where}; ${would} would, in the smallest types. `
    : `None of these fits ${size}; a plan in smaller types does, ${would}. `;
}

/** What is in it beside the weights. */
function parts({ contexts, sequences, kvTypes: { k, v }, projectorBytes, embeddings }: InspectedMemory): string {
  const margin = contexts[0]?.marginBytes ?? 0;
  const cache = k === v ? k : `${k}, ${v}`;
  const shared = sequences === 1 ? "" : ` for ${sequences} sequences`;
  const projector = projectorBytes === undefined ? "" : `, the projector (${formatSize(projectorBytes)})`;
  const states = contexts.some(({ stateBytes }) => stateBytes > 0) ? ", states" : "";
  const place =
    embeddings === "RAM"
      ? "; embeddings stay in RAM"
      : embeddings === "RAM and GPU"
        ? "; embeddings are there too, as the head that is tied to them"
        : "";
  return `With keys and values (${cache})${shared}${states}${projector}, buffers, and a margin of ${formatSize(margin)}${place}.`;
}

function warnings({ contexts, sequences, trainedContext }: InspectedMemory): string[] {
  return contexts.flatMap(({ context }) => {
    const beyond = beyondTraining(context, sequences, trainedContext);
    return beyond === undefined ? [] : [`! ${beyond}`];
  });
}
