/**
 * Prompts with pictures as llama-server's /completion takes them: a marker in the text for each, which it replaces by the
 * picture between the model's own tokens. Before a text's words, as Qwen3-VL-Reranker was trained.
 */
import { UsageError } from "../errors.ts";
import type { Asked, RankContent } from "./rank-content.ts";
import { fillTemplate } from "./rerank-prompt.ts";

/** The value of "prompt". */
export type MediaPrompt = string | { readonly prompt_string: string; readonly multimodal_data: readonly string[] };

export interface MediaPair extends Omit<Asked, "documents"> {
  readonly document: RankContent;
  readonly instruct?: string | undefined;
}

/** Fill a template. `marker` is asked for where there is a picture; a text that holds it is refused. */
export async function fillMedia(
  template: string,
  { query, document, instruct }: MediaPair,
  marker: () => Promise<string>,
): Promise<MediaPrompt> {
  if (typeof query === "string" && typeof document === "string") {
    return fillTemplate(template, { query, document, instruct });
  }
  const mark = await marker();
  const contents: Readonly<Record<string, RankContent>> = { "{query}": query, "{document}": document };
  const places = template.match(/\{query\}|\{document\}/g) ?? [];
  return {
    prompt_string: fillTemplate(template, { query: marked(query, mark), document: marked(document, mark), instruct }),
    // in the order of their markers
    multimodal_data: places.flatMap((place) => {
      const content = contents[place];
      return typeof content === "object" ? [content.picture.base64] : [];
    }),
  };
}

function marked(content: RankContent, mark: string): string {
  const text = typeof content === "string" ? content : (content.text ?? "");
  // it would stand for a picture that is not there
  if (text.includes(mark))
    throw new UsageError(`a text holds ${mark}, which llama-server puts an image in the place of`);
  return typeof content === "string" ? text : `${mark}${text}`;
}
