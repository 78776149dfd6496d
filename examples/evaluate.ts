/** KL divergence from the unquantized model, on text it samples itself: node evaluate.js REFERENCE.gguf Q.gguf... */
import { evaluate, openBench } from "prism-gguf";

const [reference = "model-f16.gguf", ...models] = process.argv.slice(2);
const bench = await openBench();
try {
  const evaluation = await evaluate(models, { reference, chunks: 4, context: 64 }, bench);
  for (const model of evaluation.models) {
    if ("kld" in model && model.kld !== undefined)
      console.log(`${model.path}: KLD ${model.kld.mean} ± ${model.kld.se}`);
  }
} finally {
  await bench.close();
}
