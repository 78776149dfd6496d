/** Rank documents over HTTP with a reranker, ask it once, and end: node serve.js RERANKER.gguf */
import { openBench, serve } from "prism-gguf";

const [model = "reranker.gguf"] = process.argv.slice(2);
const bench = await openBench({ threads: 1 });
const server = await serve(model, { port: 0 }, bench);
try {
  const reply = await fetch(`${server.url}/v1/rerank`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ query: "capital of France?", documents: ["Paris", "Bananas"] }),
  });
  console.log(JSON.stringify(await reply.json()));
} finally {
  await server.close();
  await bench.close();
}
