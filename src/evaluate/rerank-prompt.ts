/**
 * The text a reranker reads. A model's own template (`tokenizer.chat_template.rerank`) is filled as llama-server fills it
 * (format_prompt_rerank, tools/server/server-common.cpp, llama.cpp v0.5.0); a causal reranker without one gets the
 * prompt of the Qwen3-Reranker model card, which ends in an empty think block so that the next token is the judgement.
 */

/** What Qwen3-Reranker was trained to judge by where nothing else is asked; converters bake it into the template. */
export const DEFAULT_INSTRUCTION = "Given a web search query, retrieve relevant passages that answer the query";

export const YES_NO_TEMPLATE = `<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {instruct}
<Query>: {query}
<Document>: {document}<|im_end|>
<|im_start|>assistant
<think>

</think>

`;

/** Whether a template has the places for a query and a document. */
export function isRerankTemplate(template: string): boolean {
  return template.includes("{query}") && template.includes("{document}");
}

/** Whether an instruction of one's own reaches the model through this template. */
export function takesInstruction(template: string): boolean {
  return template.includes("{instruct}") || template.includes(DEFAULT_INSTRUCTION);
}

export interface RerankPair {
  readonly query: string;
  readonly document: string;
  readonly instruct?: string;
}

/** Fill in a pair. What stands in braces in the query or the document stays as it is. */
export function fillTemplate(template: string, { query, document, instruct }: RerankPair): string {
  const instruction = instruct ?? DEFAULT_INSTRUCTION;
  const places: Readonly<Record<string, string>> = {
    "{query}": query,
    "{document}": document,
    "{instruct}": instruction,
    [DEFAULT_INSTRUCTION]: instruction,
  };
  const pattern = new RegExp(`\\{query\\}|\\{document\\}|\\{instruct\\}|${DEFAULT_INSTRUCTION}`, "g");
  return template.replace(pattern, (place) => places[place] ?? place);
}
