/** How to get and run the files of a card: llama.cpp and Ollama by tag from the Hub, or the downloaded file. */
import { quoteWord } from "../../shell-quote.ts";
import type { CardFile, CardModel } from "./card-model.ts";
import { code, codeBlock, markdownTable } from "./markdown.ts";

/** A model file, with what its commands depend on. */
interface Usable {
  readonly model: CardModel;
  readonly file: CardFile;
  readonly projector: CardFile | undefined;
  /** OWNER/NAME:TAG. */
  readonly hub: string | undefined;
}

/** Render the section: commands for one model file, a line for each of several; undefined where there is none. */
export function renderUsage(models: readonly CardModel[], repository: string | undefined): string | undefined {
  const usable = models.flatMap((model) => usableFiles(model, repository));
  // of several the middle one: the smallest, or the largest, is not what most people want
  const first = usable[Math.floor((usable.length - 1) / 2)];
  if (first === undefined) return undefined;
  const commands = [
    ...hubCommands(first),
    ...(repository === undefined ? [] : [download(repository, first)]),
    ...commandsOf(first),
  ];
  const others = usable.length > 1 ? [fileTable(usable)] : [];
  return ["## Usage", codeBlock(commands.join("\n\n"), "sh"), ...others].join("\n\n");
}

function usableFiles(model: CardModel, repository: string | undefined): Usable[] {
  const projector = model.files.find(({ kind }) => kind === "projector");
  const files = model.files.filter(({ kind, publishAs }) => kind === "model" && shardOf(publishAs) <= 1);
  return files.map((file) => {
    const hub = repository === undefined || file.tag === undefined ? undefined : `${repository}:${file.tag}`;
    return { model, file, projector, hub };
  });
}

/** Which part of a split file it is; 0 for a whole one. */
function shardOf(name: string): number {
  return Number(/-(\d{5})-of-\d{5}\.gguf$/.exec(name)?.[1] ?? 0);
}

/** What downloads by itself; Ollama takes no split files. */
function hubCommands({ model, file, projector, hub }: Usable): string[] {
  if (hub === undefined) return [];
  const llama = (program: string, flags = "") => `${program} -hf ${quoteWord(hub)}${flags}`;
  const ollama = (verb: string) =>
    shardOf(file.publishAs) > 0 ? [] : [`# Ollama\nollama ${verb} hf.co/${quoteWord(hub)}`];
  if (isReranker(model)) {
    return model.plan.facts.rankPooling === true
      ? [`# /v1/rerank of llama.cpp, straight from the Hub\n${llama("llama-server", " --reranking")}`]
      : [];
  }
  if (embeds(model)) {
    return [
      `# /v1/embeddings of llama.cpp, straight from the Hub\n${llama("llama-server", " --embedding")}`,
      ...ollama("pull"),
    ];
  }
  return [
    `# straight from the Hub: in the terminal, or as a server with the API of OpenAI\n${llama("llama-cli")}\n${llama("llama-server")}`,
    ...(projector === undefined ? [] : [`# with the projector, which comes along\n${llama("llama-mtmd-cli")}`]),
    ...ollama("run"),
  ];
}

function commandsOf({ model, file, projector }: Usable): string[] {
  if (isReranker(model)) return rankingCommands(model, file);
  return embeds(model) ? embeddingCommands(file) : textCommands(file, projector);
}

function isReranker({ plan, run }: CardModel): boolean {
  return plan.facts.rankPooling === true || run.rows.some(({ rerank }) => rerank !== undefined);
}

function embeds({ run }: CardModel): boolean {
  return run.rows.some(({ embedding }) => embedding !== undefined);
}

function download(repository: string, { model, file, projector }: Usable): string {
  const files =
    shardOf(file.publishAs) === 0
      ? [file]
      : model.files.filter(({ kind, tag }) => kind === "model" && tag === file.tag);
  const names = [...files, ...(projector === undefined ? [] : [projector])].map(({ publishAs }) =>
    quoteWord(publishAs),
  );
  return `# download\nhf download ${quoteWord(repository)} ${names.join(" ")} --local-dir .`;
}

/** How each file of a family is run: by its tag, where it has one. */
function fileTable(usable: readonly Usable[]): string {
  const rows = usable.map(({ model, file, hub }) => {
    const from = hub === undefined ? `-m ${quoteWord(file.publishAs)}` : `-hf ${quoteWord(hub)}`;
    return [code(file.publishAs), code(`llama-server ${from}${serverFlags(model)}`)];
  });
  return markdownTable([{ header: "File" }, { header: "Serve it with llama.cpp" }], rows);
}

function serverFlags(model: CardModel): string {
  if (isReranker(model)) return " --reranking";
  return embeds(model) ? " --embedding" : "";
}

function textCommands({ publishAs }: CardFile, projector: CardFile | undefined): string[] {
  const model = `-m ${quoteWord(publishAs)}`;
  const vision =
    projector === undefined
      ? []
      : [`# with the projector\nllama-mtmd-cli ${model} --mmproj ${quoteWord(projector.publishAs)}`];
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
      ? [`# /v1/rerank of llama.cpp, on http://127.0.0.1:8080\nllama-server -m ${quoteWord(publishAs)} --reranking`]
      : []),
    `# /v1/rerank of PRISM\nprism serve ${quoteWord(publishAs)}`,
  ];
}

function embeddingCommands({ publishAs }: CardFile): string[] {
  return [
    `# /v1/embeddings of llama.cpp, on http://127.0.0.1:8080\nllama-server -m ${quoteWord(publishAs)} --embedding`,
    `# /v1/embeddings of PRISM\nprism serve ${quoteWord(publishAs)}`,
  ];
}
