/** Requests for embeddings as OpenAI, llama-server, TEI and Voyage have them, and their answers. */
import type { EmbeddedText } from "../embed/embedder.ts";
import { UsageError } from "../errors.ts";
import { countField, flagField, given, objectOf, textField } from "./fields.ts";

export interface EmbeddingBody {
  /** tei: an answer without a word around it. */
  readonly dialect: "openai" | "tei";
  readonly texts: readonly string[];
  /** What the texts are, where the client says it: models may want another beginning for each. */
  readonly kind: "query" | "document" | undefined;
  readonly base64: boolean;
  /** Numbers of each vector that are wanted, the first of them. */
  readonly dimensions: number | undefined;
  readonly refuseLonger: boolean;
  readonly model: string | undefined;
}

const EXAMPLE = '{"input": ["…"]}';

/** Read a request, of at most `maxTexts`. Throws UsageError that names the field. */
export function parseEmbeddingBody(value: unknown, maxTexts: number): EmbeddingBody {
  const fields = objectOf(value, EXAMPLE);
  const input = given(fields, "input", "content", "inputs", "texts");
  if (input === undefined) throw new UsageError(`"input" is missing; expected an object like ${EXAMPLE}`);
  const format = textField(fields, "encoding_format") ?? "float";
  if (format !== "float" && format !== "base64") {
    throw new UsageError(`"encoding_format" is "${format}", expected "float" or "base64"`);
  }
  return {
    dialect: input.name === "inputs" ? "tei" : "openai",
    texts: textsOf(input.name, input.value, maxTexts),
    kind: kindOf(textField(fields, "input_type", "task", "prompt_name")),
    base64: format === "base64",
    dimensions: countField(fields, 0, "dimensions", "output_dimension"),
    refuseLonger: flagField(fields, "truncation", "truncate") === false,
    model: textField(fields, "model"),
  };
}

function textsOf(name: string, value: unknown, most: number): readonly string[] {
  const texts = Array.isArray(value) ? value : [value];
  if (texts.length > most) throw new UsageError(`"${name}" has ${texts.length} texts, at most ${most} are taken`);
  if (texts.length === 0) throw new UsageError(`"${name}" is empty; send a text or a list of texts`);
  if (texts.some((text) => typeof text === "number" || Array.isArray(text))) {
    throw new UsageError(
      `"${name}" must be texts: token ids are another tokenizer's (LangChain's OpenAIEmbeddings sends them unless check_embedding_ctx_length is false)`,
    );
  }
  const wrong = texts.findIndex((text) => typeof text !== "string");
  if (wrong >= 0) throw new UsageError(`"${name}"[${wrong}] must be a text`);
  return texts as string[];
}

/** In the words of Cohere, Voyage, NVIDIA, Jina and TEI. */
function kindOf(type: string | undefined): EmbeddingBody["kind"] {
  if (type === undefined) return undefined;
  if (/query/i.test(type)) return "query";
  return /document|passage/i.test(type) ? "document" : undefined;
}

export function embeddingAnswer(body: EmbeddingBody, embedded: readonly EmbeddedText[], modelName: string): object {
  const vectors = embedded.map(({ vector }) => shorten(vector, body.dimensions));
  if (body.dialect === "tei") return vectors.map((vector) => [...vector]);
  const tokens = embedded.reduce((sum, text) => sum + text.tokens, 0);
  return {
    object: "list",
    data: vectors.map((vector, index) => ({
      object: "embedding",
      index,
      embedding: body.base64 ? base64Of(vector) : [...vector],
    })),
    model: body.model ?? modelName,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  };
}

/** The first numbers, at length 1 again: what models that were trained for it (Matryoshka) are cut to. */
function shorten(vector: Float32Array, dimensions = vector.length): Float32Array {
  if (dimensions > vector.length) {
    throw new UsageError(`"dimensions" is ${dimensions}, and the model has ${vector.length}`);
  }
  if (dimensions === vector.length) return vector;
  const kept = vector.slice(0, dimensions);
  const length = Math.hypot(...kept);
  return kept.map((value) => value / length);
}

/** Little-endian floats, as OpenAI's clients ask for by themselves. */
function base64Of(vector: Float32Array): string {
  const bytes = Buffer.alloc(vector.length * Float32Array.BYTES_PER_ELEMENT);
  vector.forEach((value, index) => {
    bytes.writeFloatLE(value, index * Float32Array.BYTES_PER_ELEMENT);
  });
  return bytes.toString("base64");
}
