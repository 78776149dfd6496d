/** Units of a quantized file whose codes are chosen with error feedback. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Type } from "@sinclair/typebox";
import type { Bench } from "../../bench.ts";
import { withScratchFile } from "../../disk/aside-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import type { ChosenCodes } from "../../engine/engine.ts";
import { codesIn, type PlacedTensor } from "../../feedback/feedback.ts";
import { openPartInputs, type PartInputs } from "../../feedback/part-inputs.ts";
import { tensorBytes } from "../../ggml/tensor-types.ts";
import type { OpenModel } from "../../gguf/model.ts";
import { type CalibrationOptions, campaignCalibration } from "../campaign-calibration.ts";
import { LARGE_VALUE, writeLarge } from "../large-values.ts";
import { partsFolder } from "../parts.ts";
import type { CampaignPlace } from "../stage.ts";

const CHOSEN = t.object({
  name: t.name(),
  ratio: t.amount(),
  shrinkage: t.optional(Type.Number({ minimum: 0, maximum: 1 })),
});

/** The bytes of a unit; where codes of it were chosen, what became of them and by what text. */
export const CODED_VALUE = t.object({
  ...LARGE_VALUE.properties,
  codes: t.optional(t.object({ text: t.text(), chosen: t.list(CHOSEN) })),
});
export type CodedValue = Content<typeof CODED_VALUE>;

export interface Coder {
  /** Write the value of a unit: tensors in their types, whose data comes in pieces. */
  write(
    unit: string,
    tensors: readonly Omit<PlacedTensor, "offset">[],
    data: AsyncIterable<Uint8Array>,
  ): Promise<CodedValue>;
  close(): Promise<void>;
}

export async function createCoder(place: CampaignPlace, options: CalibrationOptions, bench: Bench): Promise<Coder> {
  const { directory, source } = place;
  const inputs = await openPartInputs(source, await campaignCalibration(place, options), bench);
  return {
    async write(unit, tensors, data) {
      let offset = 0;
      const placed = tensors.map((tensor) => {
        const at = offset;
        offset += tensorBytes(tensor.type, tensor.shape);
        return { ...tensor, offset: at };
      });
      return withScratchFile(join(partsFolder(directory), `${unit}.codes`), async (scratch) => {
        await writePieces(scratch, data);
        const chosen = await chooseCodes(inputs, { source, path: scratch, placed }, bench);
        const written = await writeLarge(directory, unit, createReadStream(scratch));
        return chosen.length === 0 ? written : { ...written, codes: { text: inputs.text, chosen } };
      });
    },
    close: () => inputs.close(),
  };
}

interface CodesFile {
  readonly source: OpenModel;
  /** Tensors lie in it, in their types. */
  readonly path: string;
  readonly placed: readonly PlacedTensor[];
}

/** Choose the codes of tensors in their places. What has no codes or no inputs stays as it is. */
async function chooseCodes(
  inputs: PartInputs,
  { source, path, placed }: CodesFile,
  { signal, progress }: Bench,
): Promise<ChosenCodes[]> {
  const chosen: ChosenCodes[] = [];
  await inputs.over(codesIn(source.model, placed, path), async ({ loaded, weights }) => {
    chosen.push(...(await loaded.chooseCodes({ output: path, tensors: weights, signal, onNote: progress.note })));
  });
  return chosen;
}

async function writePieces(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, "w");
  try {
    for await (const piece of pieces) await file.writeFile(piece);
  } finally {
    await file.close();
  }
}
