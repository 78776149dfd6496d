/** prism serve: the endpoints of a reranker, for clients of Cohere, Jina, Voyage, vLLM, TEI and Infinity, or of embeddings. */
import { Command, Option } from "commander";
import { parseSize } from "../../allocate/budget.ts";
import { type FileLimit, readWhole } from "../../documents/whole-file.ts";
import { UsageError } from "../../errors.ts";
import { printable } from "../../plan/printable.ts";
import { DEFAULT_RERANK_CONTEXT } from "../../rerank/rerank-scorer.ts";
import { isLoopback } from "../../server/allowed-hosts.ts";
import { type RunningServer, SERVE_DEFAULTS, serve } from "../../verbs/serve.ts";
import type { CommandContext } from "../context.ts";
import { addEmbedderOptions, type EmbedderCliOptions } from "../embedding-options.ts";
import { addSharedOptions, collect, parseInteger, type SharedOptions } from "../options.ts";
import { type Output, openOutput } from "../output.ts";
import { addPromptOptions, type PromptCliOptions } from "../prompt-options.ts";
import { withBench } from "../with-bench.ts";

interface Options extends SharedOptions, EmbedderCliOptions, PromptCliOptions {
  readonly host: string;
  readonly port: number;
  readonly apiKeyFile?: string;
  readonly allowHost?: string[];
  readonly queue: number;
  readonly maxBody: number;
  readonly maxDocuments: number;
  readonly context?: number;
  readonly server?: string;
}

const HELP = `
POST /v1/rerank (also /rerank, /v2/rerank) takes {"query": "…",
"documents": ["…"], "top_n": 3, "return_documents": true}; documents may be
images, {"image": "data:image/png;base64,…"}, after prism doctor --build-mtmd,
or with --server. POST /score takes {"text_1": "…", "text_2": ["…"]}.
Of a model that embeds POST /v1/embeddings (also /embed) takes
{"input": ["…"], "input_type": "query"}, which puts the prefix before it.
GET /health, /v1/models, /info.

One request is scored at a time, in turns of a second while others wait. With
--api-key-file, or PRISM_API_KEY in the environment, requests need
"Authorization: Bearer KEY"; without a key only the server's own names are
answered (127.0.0.1, localhost, --host; listening to other machines also IP
addresses and this machine's name), and only web pages of this machine.
Ctrl-C stops: what is being scored is finished first.`;

export function serveCommand(context: CommandContext): Command {
  const whole = (name: string, what: string, least: number, most: number) =>
    new Option(`${name} <n>`, what).argParser((text) => parseInteger(name, text, least, most));
  const command = new Command("serve")
    .description("answer /v1/rerank requests with a reranker, or /v1/embeddings with a model that embeds")
    .argument("<model>", "the GGUF file of a reranker, or of a model that embeds")
    .addOption(whole("--port", "port to listen on; 0 takes a free one", 0, 65_535).default(SERVE_DEFAULTS.port))
    .option("--host <address>", "address to listen on", SERVE_DEFAULTS.host)
    .option("--server <url>", "let the llama-server that runs MODEL score: with --mmproj it ranks images too")
    .option("--api-key-file <file>", "ask for the key that this file holds")
    .option("--allow-host <name>", "without a key: answer under this name too, beside its own (repeatable)", collect)
    .addOption(
      whole("--queue", "requests that may wait; more are told to come back", 0, 100_000).default(SERVE_DEFAULTS.queue),
    )
    .addOption(
      new Option("--max-body <size>", "largest request").argParser(parseSize).default(SERVE_DEFAULTS.maxBody, "16MB"),
    )
    .addOption(
      whole("--max-documents", "most documents of a request", 1, 1_000_000).default(SERVE_DEFAULTS.maxDocuments),
    )
    .addOption(
      whole("--context", `longest prompt in tokens; default ${DEFAULT_RERANK_CONTEXT}, or the model's own`, 8, 2 ** 20),
    );
  addPromptOptions(command);
  addEmbedderOptions(command);
  return addSharedOptions(command, "gpu-layers", "threads")
    .addHelpText("after", HELP)
    .action((model: string, options: Options) => run(model, options, context));
}

async function run(model: string, options: Options, context: CommandContext): Promise<void> {
  const output = openOutput(options);
  const apiKey = await readKey(options.apiKeyFile);
  await withBench(options, context, output, async (bench) => {
    const server = await serve(model, { ...options, apiKey }, bench);
    announce(output, model, server, apiKey === undefined && !isLoopback(options.host));
    await stopped(context.signal);
    await server.close();
  });
}

const KEY: FileLimit = { noun: "an API key", maxBytes: 2 ** 16, remedy: "put the key alone into it" };

async function readKey(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return process.env.PRISM_API_KEY || undefined;
  const key = (await readWhole(path, KEY)).toString("utf8");
  if (key.trim() === "") throw new UsageError(`--api-key-file ${path}: the file is empty; put the key into it`);
  return key.trim();
}

function announce(output: Output, model: string, { url, head, pooling }: RunningServer, open: boolean): void {
  if (open) output.note("! everybody who reaches this address may use it; give --api-key-file to ask for a key");
  const ranks = head !== undefined;
  const body = ranks
    ? { query: "capital of France?", documents: ["Paris", "Bananas"] }
    : { input: ["Paris", "Bananas"] };
  const path = ranks ? "/v1/rerank" : "/v1/embeddings";
  output.result({
    document: ranks ? { url, model, head } : { url, model, pooling },
    text: () => `${ranks ? "ranking" : "embedding"} with ${printable(model)} at ${url}`,
    next: `curl ${url}${path} -H 'Content-Type: application/json' -d '${JSON.stringify(body)}'`,
  });
}

function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
