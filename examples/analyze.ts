/** Measure every tensor and keep it for plans: node analyze.js MODEL.gguf ANALYSIS.json */
import { writeFile } from "node:fs/promises";
import { analyze, openBench } from "prism-gguf";

const [model = "model-f16.gguf", target = "analysis.json"] = process.argv.slice(2);
const bench = await openBench();
try {
  const analysis = await analyze(model, {}, bench);
  await writeFile(target, JSON.stringify(analysis));
  for (const { class: tensorClass, elements } of analysis.classes) console.log(`${tensorClass}: ${elements} weights`);
} finally {
  await bench.close();
}
