/** Chunks of a probe: how far the degraded model is from the reference on each. */
import { meanSe } from "../evaluate/statistics.ts";
import type { ProbedChunk } from "../sensitivity/density-document.ts";
import type { HeldModel, ProbeTypes } from "./probe-site.ts";

/** Degrade, and score chunks `first` … `end − 1`. */
export async function measureChunks(
  site: HeldModel,
  types: ProbeTypes,
  { first, end }: { readonly first: number; readonly end: number },
  signal: AbortSignal,
): Promise<ProbedChunk[]> {
  const tokens = site.text.probes;
  const reference = await site.refer(tokens);
  return site.degrade(types, async (model) => {
    const measured: ProbedChunk[] = [];
    for (let next = first; next < end; next += model.chunksPerBatch) {
      const count = Math.min(model.chunksPerBatch, end - next);
      const parts = await reference.measure(model, { first: next, count }, signal);
      const each = parts.length / count;
      for (let chunk = 0; chunk < count; chunk++) {
        const { value, se } = meanSe(parts.subarray(chunk * each, (chunk + 1) * each));
        measured.push({ kld: value, se });
      }
    }
    return measured;
  });
}

/** Mean over chunks, and the larger of the errors between tokens and between chunks, whose tokens are alike. */
export function meanOfChunks(perChunk: readonly ProbedChunk[]): { readonly kld: number; readonly se: number } {
  const { value, se } = meanSe(perChunk.map(({ kld }) => kld));
  const tokens = Math.sqrt(perChunk.reduce((sum, chunk) => sum + chunk.se ** 2, 0)) / perChunk.length;
  return { kld: value, se: Math.max(se, tokens) };
}
