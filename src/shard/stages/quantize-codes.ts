/** Units of a quantized file whose codes are chosen with error feedback. */
import { createReadStream } from "node:fs";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { Type } from "@sinclair/typebox";
import type { Bench } from "../../bench.ts";
import { withScratchFile } from "../../disk/aside-file.ts";
import type { Content } from "../../documents/fields.ts";
import * as t from "../../documents/fields.ts";
import { FormatError } from "../../errors.ts";
import { chooseContext } from "../../evaluate/evaluate-options.ts";
import { OWN_TEXT } from "../../feedback/calibration-text.ts";
import type { PlacedTensor } from "../../feedback/feedback.ts";
import { createPartCodes } from "../../feedback/part-codes.ts";
import { tensorBytes } from "../../ggml/tensor-types.ts";
import { inputPath } from "../campaign.ts";
import { readIdsInput } from "../campaign-tokens.ts";
import { LARGE_VALUE, writeLarge } from "../large-values.ts";
import { partsFolder } from "../parts.ts";
import type { CampaignPlace } from "../stage.ts";

export const FEEDBACK_OPTIONS = t.object({
  calibration: t.list(t.name("An input of the campaign, or own: what the model writes.")),
});

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

/** The input with what the model wrote, as 32-bit ids. */
export const OWN_INPUT = "own-text";

export interface Coder {
  /** Write the value of a unit: tensors in their types, whose data comes in pieces. */
  write(
    unit: string,
    tensors: readonly Omit<PlacedTensor, "offset">[],
    data: AsyncIterable<Uint8Array>,
  ): Promise<CodedValue>;
  close(): Promise<void>;
}

export async function createCoder(
  place: CampaignPlace,
  { calibration }: Content<typeof FEEDBACK_OPTIONS>,
  bench: Bench,
): Promise<Coder> {
  const { directory, source } = place;
  const texts: string[] = [];
  for (const name of calibration) texts.push(name === OWN_TEXT ? name : await pathOf(place, name));
  const own = await ownIds(place);
  const codes = createPartCodes(source, { calibration: texts, own }, bench);
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
        const chosen = await codes.choose(scratch, placed);
        const written = await writeLarge(directory, unit, createReadStream(scratch));
        const text = codes.text();
        if (chosen.length === 0 || text === undefined) return written;
        return { ...written, codes: { text, chosen: [...chosen] } };
      });
    },
    close: () => codes.close(),
  };
}

async function pathOf({ directory, campaign }: CampaignPlace, name: string): Promise<string> {
  const input = campaign.inputs.find((one) => one.name === name);
  if (input !== undefined) return inputPath(directory, input);
  throw new FormatError("campaign.json", `names a text ${name} that it has not; make it again`);
}

async function ownIds({ directory, campaign, source }: CampaignPlace): Promise<Int32Array | undefined> {
  const input = campaign.inputs.find(({ name }) => name === OWN_INPUT);
  return input && readIdsInput(directory, input, chooseContext(undefined, source.facts.contextTrain));
}

async function writePieces(path: string, pieces: AsyncIterable<Uint8Array>): Promise<void> {
  const file = await open(path, "w");
  try {
    for await (const piece of pieces) await file.writeFile(piece);
  } finally {
    await file.close();
  }
}
