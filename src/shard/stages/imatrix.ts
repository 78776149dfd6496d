/**
 * The importance matrix of a text by blocks of its chunks: the file of `prism imatrix --blocks` on one machine, byte for byte,
 * however many machines there were. Experts keep their sums and counts apart.
 */
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import type { ImportanceSums } from "../../engine/engine.ts";
import { FormatError } from "../../errors.ts";
import { loadModel } from "../../evaluate/load-model.ts";
import { chunksIn } from "../../evaluate/text.ts";
import { requireUnchanged } from "../../gguf/identity.ts";
import { describeImatrix } from "../../imatrix/describe-imatrix.ts";
import { blocksOf, chunksPerBlock, createImportanceTotal } from "../../imatrix/importance-blocks.ts";
import { writeImatrix } from "../../imatrix/write-imatrix.ts";
import { requireContent } from "../campaign.ts";
import { unitKey } from "../campaign-document.ts";
import { campaignTokens } from "../campaign-tokens.ts";
import { LARGE_VALUE, readLargeWhole, writeLarge } from "../large-values.ts";
import type { ShardStage } from "../stage.ts";

const UNIT = t.object({ from: t.count("The first of its chunks."), to: t.count("The first after them.") });

export const IMATRIX_OPTIONS = t.object({
  context: t.some("Tokens of a chunk."),
  chunks: t.some(),
  head: t.flag("The output head's inputs too."),
});
export type ImatrixOptions = Content<typeof IMATRIX_OPTIONS>;

const ENTRY = t.object({
  name: t.name(),
  sums: t.some("Sums, 32 bits each."),
  counts: t.some("Counts, 64 bits each."),
});
const VALUE = t.object({ entries: t.list(ENTRY, "In the order of the data."), data: LARGE_VALUE });
type Value = Content<typeof VALUE>;

export const imatrixStage: ShardStage = {
  id: "imatrix",
  writesGguf: true,
  method: 1,
  costPerSecond: 5e8,
  value: VALUE,
  name(of) {
    const { from, to } = requireContent(UNIT, of, "unit");
    return `chunks ${from} to ${to - 1}`;
  },
  units({ source, campaign }) {
    const { context, chunks } = optionsOf(campaign.options);
    // every token meets every weight, as a rule
    return blocksOf(chunks, chunksPerBlock(context)).map(({ from, to }) => ({
      of: { from, to },
      cost: (to - from) * context * source.fileBytes,
    }));
  },
  async open(place, bench) {
    const { source, directory, campaign } = place;
    const options = optionsOf(campaign.options);
    const { head } = options;
    const { tokens } = await campaignTokens(place, options);
    const loaded = await loadModel(source.path, options, bench);
    return {
      // all threads are at one batch
      width: 1,
      async measure(of) {
        const block = chunksIn(tokens, requireContent(UNIT, of, "unit"));
        const entries = await loaded.importance({ tokens: block, head, signal: bench.signal });
        await requireUnchanged(source, bench);
        const named = [...entries].sort(([a], [b]) => (a < b ? -1 : 1));
        const data = await writeLarge(directory, unitKey(campaign.id, of), named.flatMap(piecesOf));
        return {
          entries: named.map(([name, { sums, counts }]) => ({ name, sums: sums.length, counts: counts.length })),
          data,
        };
      },
      close: () => loaded.close(),
    };
  },
  async merge(place, values, output) {
    const { directory, campaign, source } = place;
    const { context, chunks } = optionsOf(campaign.options);
    const { path: dataset } = await campaignTokens(place, { context, chunks });
    const total = createImportanceTotal();
    for (const [index, { key }] of campaign.units.entries()) {
      total.add(await entriesOf(directory, key, values[index] as Value));
    }
    await writeImatrix(output, { entries: total.sums(), dataset, context });
    return describeImatrix(output, source.model);
  },
};

function optionsOf(options: unknown): ImatrixOptions {
  return requireContent(IMATRIX_OPTIONS, options, "options");
}

function piecesOf([, { sums, counts }]: readonly [string, ImportanceSums]): Uint8Array[] {
  return [sums, counts].map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer, byteOffset, byteLength));
}

async function entriesOf(
  directory: string,
  unit: string,
  { entries, data }: Value,
): Promise<Map<string, ImportanceSums>> {
  const bytes = await readLargeWhole(directory, unit, data);
  const wanted = entries.reduce((sum, { sums, counts }) => sum + 4 * sums + 8 * counts, 0);
  if (bytes.length !== wanted) {
    throw new FormatError(
      directory,
      `the part of unit ${unit} has ${bytes.length} bytes of sums, expected ${wanted}; delete parts/${unit}.* and run it again`,
    );
  }
  let at = 0;
  const take = (length: number): ArrayBuffer => {
    at += length;
    // copied: an array of numbers begins at a multiple of their size
    return Uint8Array.from(bytes.subarray(at - length, at)).buffer;
  };
  return new Map(
    entries.map(({ name, sums, counts }) => [
      name,
      { sums: new Float32Array(take(4 * sums)), counts: new Float64Array(take(8 * counts)) },
    ]),
  );
}
