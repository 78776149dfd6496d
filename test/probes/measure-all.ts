/** A probe on all chunks of a site's text. */
import { meanOfChunks, measureChunks } from "../../src/probes/measure-probe.ts";
import type { HeldModel, ProbeTypes } from "../../src/probes/probe-site.ts";

export async function measureAll(site: HeldModel, types: ProbeTypes, signal: AbortSignal) {
  const perChunk = await measureChunks(site, types, { first: 0, end: site.text.probes.chunks }, signal);
  return { ...meanOfChunks(perChunk), chunks: perChunk.length };
}
