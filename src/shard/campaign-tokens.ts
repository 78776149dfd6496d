/** The text of a campaign as its tokens, which the planner cut once: no worker can cut it otherwise. */
import { readFile } from "node:fs/promises";
import type { EvaluationTokens } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import { inputPath, type MadeInput } from "./campaign.ts";
import type { CampaignInput } from "./campaign-document.ts";
import type { CampaignPlace } from "./stage.ts";

const INPUT = "tokens";

const ID_BYTES = Int32Array.BYTES_PER_ELEMENT;

/** Tokens as a file of the campaign, 32 bits each; `path` is what their text is called. */
export function idsInput(ids: Int32Array, path: string): MadeInput {
  const content = new DataView(new ArrayBuffer(ids.length * ID_BYTES));
  for (const [index, id] of ids.entries()) content.setInt32(index * ID_BYTES, id, true);
  return { content: new Uint8Array(content.buffer), path };
}

/** The tokens of such a file. Throws FormatError where they are no whole chunks. */
export async function readIdsInput(directory: string, input: CampaignInput, context: number): Promise<Int32Array> {
  const path = await inputPath(directory, input);
  const bytes = await readFile(path);
  if (bytes.length === 0 || bytes.length % (context * ID_BYTES) !== 0) {
    throw new FormatError(path, `has ${bytes.length} bytes, expected chunks of ${context} tokens; plan anew`);
  }
  return Int32Array.from({ length: bytes.length / ID_BYTES }, (_, index) => bytes.readInt32LE(ID_BYTES * index));
}

/** What goes into the campaign; `path` is what the text is called. */
export function tokensInput({ ids }: Pick<EvaluationTokens, "ids">, path: string): { readonly [INPUT]: MadeInput } {
  return { [INPUT]: idsInput(ids, path) };
}

export interface CampaignText {
  readonly tokens: EvaluationTokens;
  readonly path: string;
}

/** The tokens of a campaign. Throws FormatError where they are not the chunks that it was planned for. */
export async function campaignTokens(
  { directory, campaign }: Pick<CampaignPlace, "directory" | "campaign">,
  { context, chunks }: { readonly context: number; readonly chunks: number },
): Promise<CampaignText> {
  const input = campaign.inputs.find(({ name }) => name === INPUT);
  if (input === undefined) throw new FormatError("campaign.json", "the campaign has no tokens; make it again");
  const ids = await readIdsInput(directory, input, context);
  if (ids.length !== context * chunks) {
    throw new FormatError(
      input.file,
      `has ${ids.length / context} chunks of ${context} tokens, expected ${chunks}; plan anew`,
    );
  }
  return { tokens: { context, chunks, ids }, path: input.path };
}
