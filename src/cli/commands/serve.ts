/** prism serve: a rerank endpoint in the shape of Cohere's, Jina's and Voyage's. */

import { readFile } from "node:fs/promises";
import { basename } from "node:path";
import { Command, Option } from "commander";
import { parseSize } from "../../allocate/budget.ts";
import { openEngine } from "../../engine/open-engine.ts";
import { FileError, UsageError } from "../../errors.ts";
import { openLocalModel } from "../../gguf/open.ts";
import { compileMissingKernels } from "../../kernels/compile-kernels.ts";
import { printable } from "../../plan/printable.ts";
import { DEFAULT_RERANK_CONTEXT, openRerankScorer } from "../../rerank/rerank-scorer.ts";
import { describeReranker } from "../../rerank/reranker.ts";
import { openLastingScorer } from "../../rerank/server/lasting-scorer.ts";
import { buildServer } from "../../rerank/server/server.ts";
import type { CommandContext } from "../context.ts";
import { gpuLayersOption } from "../evaluation-options.ts";
import { jsonOption, parseInteger, quietOption, threadsOption } from "../options.ts";
import { type Output, openOutput } from "../output.ts";

interface Options {
  readonly host: string;
  readonly port: number;
  readonly apiKeyFile?: string;
  readonly queue: number;
  readonly maxBody: number;
  readonly maxDocuments: number;
  readonly context?: number;
  readonly threads: number;
  readonly gpuLayers: number;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

const HELP = `
POST /v1/rerank (also /rerank, /v2/rerank) takes {"query": "…", "documents": ["…"], "top_n": 3, "return_documents": true};
GET /health, GET /v1/models. One request is scored at a time. With --api-key-file, or PRISM_API_KEY in the environment,
requests need "Authorization: Bearer KEY". Ctrl-C stops: what is being scored is finished first.`;

const LOCAL_HOSTS: ReadonlySet<string> = new Set(["127.0.0.1", "localhost", "::1"]);

export function serveCommand(context: CommandContext): Command {
  const whole = (name: string, what: string, least: number, most: number) =>
    new Option(`${name} <n>`, what).argParser((text) => parseInteger(name, text, least, most));
  return new Command("serve")
    .description("answer /v1/rerank requests with a reranker, rank head or causal")
    .argument("<model>", "the GGUF file of a reranker")
    .addOption(whole("--port", "port to listen on; 0 takes a free one", 0, 65_535).default(8012))
    .option("--host <address>", "address to listen on", "127.0.0.1")
    .option("--api-key-file <file>", "ask for the key that this file holds")
    .addOption(whole("--queue", "requests that may wait; more are told to come back", 0, 100_000).default(64))
    .addOption(new Option("--max-body <size>", "largest request").argParser(parseSize).default(16_000_000, "16MB"))
    .addOption(whole("--max-documents", "most documents of a request", 1, 1_000_000).default(2000))
    .addOption(
      whole("--context", `longest prompt in tokens; default ${DEFAULT_RERANK_CONTEXT}, or the model's own`, 8, 2 ** 20),
    )
    .addOption(gpuLayersOption())
    .addOption(threadsOption())
    .addOption(jsonOption())
    .addOption(quietOption())
    .addHelpText("after", HELP)
    .action((model: string, options: Options) => run(model, options, context));
}

async function run(model: string, options: Options, { signal }: CommandContext): Promise<void> {
  const output = openOutput(options);
  const apiKey = await readKey(options.apiKeyFile);
  const file = await openLocalModel(model);
  await file.close();
  const reranker = describeReranker(file.model);
  for (const warning of reranker.warnings) output.note(printable(`! ${warning}`));
  await compileMissingKernels({ note: output.note, signal });
  const engine = await openEngine(options);
  try {
    // Not the signal: an interrupted engine call ends its process, and what is being scored shall be finished.
    const { threads, gpuLayers, context } = options;
    const loading = { engine, reranker, threads, gpuLayers, ...(context === undefined ? {} : { context }) };
    const scorer = await openLastingScorer(() => openRerankScorer(loading));
    // A model whose scores are no numbers is refused before anybody asks.
    await scorer.score({ query: "Does it rank?", documents: ["It ranks.", "It doesn't."] });
    const server = buildServer({
      scorer,
      modelName: basename(model).replace(/\.gguf$/, ""),
      queueLimit: options.queue,
      bodyLimitBytes: options.maxBody,
      maxDocuments: options.maxDocuments,
      ...(apiKey === undefined ? {} : { apiKey }),
    });
    const url = await listen(server, options);
    announce(output, model, url, reranker.head, apiKey === undefined && !LOCAL_HOSTS.has(options.host));
    await stopped(signal);
    await server.close();
  } finally {
    await engine.close();
  }
}

async function readKey(path: string | undefined): Promise<string | undefined> {
  if (path === undefined) return process.env.PRISM_API_KEY || undefined;
  const key = await readFile(path, "utf8").catch((error: Error) => {
    throw new FileError(path, `the API key can't be read (${error.message})`, { cause: error });
  });
  if (key.trim() === "") throw new UsageError(`--api-key-file ${path}: the file is empty; put the key into it`);
  return key.trim();
}

async function listen(server: ReturnType<typeof buildServer>, { host, port }: Options): Promise<string> {
  return server.listen({ host, port }).catch((error: NodeJS.ErrnoException) => {
    const reason = error.code === "EADDRINUSE" ? "something listens there already" : error.message;
    throw new UsageError(`can't listen on ${host}:${port}: ${reason}; give another --port or --host`, { cause: error });
  });
}

function announce(output: Output, model: string, url: string, head: string, open: boolean): void {
  if (open) output.note("! everybody who reaches this address may use it; give --api-key-file to ask for a key");
  const body = JSON.stringify({ query: "capital of France?", documents: ["Paris", "Bananas"] });
  output.result({
    document: { url, model, head },
    text: () => `ranking with ${printable(model)} at ${url}`,
    next: `curl ${url}/v1/rerank -H 'Content-Type: application/json' -d '${body}'`,
  });
}

function stopped(signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
}
