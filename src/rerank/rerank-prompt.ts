/**
 * The text a reranker reads. A model's own template (`tokenizer.chat_template.rerank`) is filled as llama-server fills it
 * (format_prompt_rerank, tools/server/server-common.cpp, llama.cpp v0.5.0); a causal reranker without one gets
 * RERANK_PROMPT, which ends in an empty think block so that the next token is the judgement.
 */
import { RERANK_INSTRUCT } from "../preflight/rerank-prompt.ts";

/** Whether a template has the places for a query and a document. */
export function isRerankTemplate(template: string): boolean {
  return template.includes("{query}") && template.includes("{document}");
}

/** Whether an instruction of one's own reaches the model through this template. */
export function takesInstruction(template: string): boolean {
  return template.includes("{instruct}") || template.includes(RERANK_INSTRUCT);
}

export interface RerankPair {
  readonly query: string;
  readonly document: string;
  readonly instruct?: string | undefined;
}

/** A piece of a filled template: the template's own, or what was put into a place of it. */
export interface TemplatePiece {
  readonly text: string;
  readonly own: boolean;
  /** "{query}" or "{document}", of which it took the place. */
  readonly place?: string | undefined;
}

/** A filled template in pieces. What stands in braces in the query or the document stays as it is. */
export function splitTemplate(template: string, { query, document, instruct }: RerankPair): TemplatePiece[] {
  const instruction = instruct ?? RERANK_INSTRUCT;
  const places: Readonly<Record<string, string>> = {
    "{query}": query,
    "{document}": document,
    "{instruct}": instruction,
    [RERANK_INSTRUCT]: instruction,
  };
  const pattern = new RegExp(`(\\{query\\}|\\{document\\}|\\{instruct\\}|${RERANK_INSTRUCT})`, "g");
  return template.split(pattern).map((text, index) => {
    const own = index % 2 === 0;
    return { text: own ? text : (places[text] ?? text), own, place: own ? undefined : text };
  });
}

/** Fill in a pair. */
export function fillTemplate(template: string, pair: RerankPair): string {
  return splitTemplate(template, pair)
    .map(({ text }) => text)
    .join("");
}
