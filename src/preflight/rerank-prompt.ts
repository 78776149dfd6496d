/**
 * The prompt that Qwen3-type rerankers were trained on, as their model cards and `Qwen3Model.set_gguf_parameters`
 * (conversion/qwen.py, llama.cpp v0.5.0) have it. The score is p(yes) / (p(yes) + p(no)) of the token after it.
 */

/** Says that the model has thought already: the next token is the answer. */
export const THINK_BLOCK = "<think>\n\n</think>\n\n";

/** Takes the places of `{instruct}`, `{query}` and `{document}`. */
export const RERANK_PROMPT = `<|im_start|>system
Judge whether the Document meets the requirements based on the Query and the Instruct provided. Note that the answer can only be "yes" or "no".<|im_end|>
<|im_start|>user
<Instruct>: {instruct}
<Query>: {query}
<Document>: {document}<|im_end|>
<|im_start|>assistant
${THINK_BLOCK}`;

/** What the models are asked unless a task says otherwise. */
export const RERANK_INSTRUCT = "Given a web search query, retrieve relevant passages that answer the query";

/** The key under which llama.cpp finds the prompt of a reranker. */
export const RERANK_TEMPLATE_KEY = "tokenizer.chat_template.rerank";

/** The value of that key: llama-server puts the texts in the places of `{query}` and `{document}`, as they are. */
export const RERANK_TEMPLATE = RERANK_PROMPT.replace("{instruct}", RERANK_INSTRUCT);

/** Labels of the rows of a yes/no head, in the order in which llama.cpp reads them: the first row is the score. */
export const RERANK_LABELS: readonly string[] = ["yes", "no"];
