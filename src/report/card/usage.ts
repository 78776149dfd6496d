/** How to get and run the files of a card with llama.cpp. */
import { quoteSh } from "../../shell-quote.ts";
import type { CardFile, CardModel } from "./card-model.ts";
import { codeBlock } from "./markdown.ts";

/** Render the section for the first file of the card; undefined where there is none. */
export function renderUsage(models: readonly CardModel[], repository: string | undefined): string | undefined {
  const [first] = models.filter(({ files }) => files.some(({ kind }) => kind === "model"));
  const file = first?.files.find(({ kind }) => kind === "model");
  if (first === undefined || file === undefined) return undefined;
  const projector = first.files.find(({ kind }) => kind === "projector");
  const commands = [
    ...(repository === undefined ? [] : [download(repository, [file, ...(projector ? [projector] : [])])]),
    ...commandsOf(first, file, projector),
  ];
  return ["## Usage", codeBlock(commands.join("\n\n"), "sh")].join("\n\n");
}

function commandsOf(model: CardModel, file: CardFile, projector: CardFile | undefined): string[] {
  if (isReranker(model)) return rankingCommands(model, file);
  const embeds = model.run.rows.some(({ embedding }) => embedding !== undefined);
  return embeds ? embeddingCommands(file) : textCommands(file, projector);
}

function isReranker({ plan, run }: CardModel): boolean {
  return plan.facts.rankPooling === true || run.rows.some(({ rerank }) => rerank !== undefined);
}

function download(repository: string, files: readonly CardFile[]): string {
  const names = files.map(({ publishAs }) => word(publishAs));
  return `# download\nhf download ${word(repository)} ${names.join(" ")} --local-dir .`;
}

function textCommands({ publishAs }: CardFile, projector: CardFile | undefined): string[] {
  const model = `-m ${word(publishAs)}`;
  const vision =
    projector === undefined
      ? []
      : [`# with the projector\nllama-mtmd-cli ${model} --mmproj ${word(projector.publishAs)}`];
  return [
    `# in the terminal\nllama-cli ${model}`,
    `# as a server with the API of OpenAI, on http://127.0.0.1:8080\nllama-server ${model}`,
    ...vision,
  ];
}

/** llama-server ranks with rank heads; of a causal reranker it would need the template, which PRISM applies. */
function rankingCommands({ plan }: CardModel, { publishAs }: CardFile): string[] {
  return [
    ...(plan.facts.rankPooling === true
      ? [`# /v1/rerank of llama.cpp, on http://127.0.0.1:8080\nllama-server -m ${word(publishAs)} --reranking`]
      : []),
    `# /v1/rerank of PRISM\nprism serve ${word(publishAs)}`,
  ];
}

function embeddingCommands({ publishAs }: CardFile): string[] {
  return [
    `# /v1/embeddings of llama.cpp, on http://127.0.0.1:8080\nllama-server -m ${word(publishAs)} --embedding`,
    `# /v1/embeddings of PRISM\nprism serve ${word(publishAs)}`,
  ];
}

function word(text: string): string {
  return /^[\w./-]+$/.test(text) && !text.startsWith("-") ? text : quoteSh(text);
}
