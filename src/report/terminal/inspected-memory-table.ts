/** What a model takes of a GPU's memory, presets by contexts, and what fits. 80 columns for four contexts. */
import { formatInteger, formatSize } from "../../numbers.ts";
import type { InspectedFit, InspectedMemory, InspectedPreset } from "../../preflight/inspection.ts";
import { formatTable } from "./table.ts";
import { wrapWords } from "./wrap-words.ts";

/** Render it; the presets smallest first, with their memory. No final line break. */
export function inspectedMemoryTable(memory: InspectedMemory, presets: readonly InspectedPreset[]): string {
  const { contexts, asIs, vramBytes } = memory;
  const rows: (readonly [string, readonly InspectedFit[]])[] = presets.map(({ fileType, memory: fits = [] }) => [
    fileType,
    fits,
  ]);
  const table = formatTable(
    [
      { header: "GPU memory at" },
      ...contexts.map(({ context }) => ({ header: formatInteger(context), align: "right" as const })),
      { header: "tokens" },
    ],
    [...rows, ["as it is", asIs] as const].map(([name, fits]) => [name, ...fits.map(cell)]),
  );
  const marks = vramBytes === undefined ? "" : `*: fits ${formatSize(vramBytes)}. `;
  return `${table}\n${wrapWords(`${marks}${parts(memory)}`, 80)}`;
}

function cell({ totalBytes, fits }: InspectedFit): string {
  return `${formatSize(totalBytes)}${fits === undefined ? "" : fits ? " *" : "  "}`;
}

/** What is in it beside the weights. */
function parts({ contexts, sequences, kvTypes: { k, v }, projectorBytes }: InspectedMemory): string {
  const margin = contexts[0]?.marginBytes ?? 0;
  const cache = k === v ? k : `${k}, ${v}`;
  const shared = sequences === 1 ? "" : ` for ${sequences} sequences`;
  const projector = projectorBytes === undefined ? "" : `, the projector (${formatSize(projectorBytes)})`;
  const states = contexts.some(({ stateBytes }) => stateBytes > 0) ? ", states" : "";
  return `With keys and values (${cache})${shared}${states}${projector}, buffers, and a margin of ${formatSize(margin)}; embeddings stay in RAM.`;
}
