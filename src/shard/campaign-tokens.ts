/** The text of a campaign as its tokens, which the planner cut once: no worker can cut it otherwise. */
import { readFile } from "node:fs/promises";
import type { EvaluationTokens } from "../engine/engine.ts";
import { FormatError } from "../errors.ts";
import { inputPath, type MadeInput } from "./campaign.ts";
import type { CampaignPlace } from "./stage.ts";

const INPUT = "tokens";

/** What goes into the campaign; `path` is what the text is called. */
export function tokensInput({ ids }: EvaluationTokens, path: string): { readonly [INPUT]: MadeInput } {
  const content = new DataView(new ArrayBuffer(ids.length * Int32Array.BYTES_PER_ELEMENT));
  for (const [index, id] of ids.entries()) content.setInt32(index * Int32Array.BYTES_PER_ELEMENT, id, true);
  return { [INPUT]: { content: new Uint8Array(content.buffer), path } };
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
  const path = await inputPath(directory, input);
  const bytes = await readFile(path);
  if (bytes.length !== context * chunks * Int32Array.BYTES_PER_ELEMENT) {
    throw new FormatError(path, `has ${bytes.length} bytes, expected ${chunks} chunks of ${context} tokens; plan anew`);
  }
  const ids = Int32Array.from({ length: context * chunks }, (_, index) => bytes.readInt32LE(4 * index));
  return { tokens: { context, chunks, ids }, path: input.path };
}
