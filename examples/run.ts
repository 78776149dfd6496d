/** All of it, with progress, and Ctrl-C stops it in order: node run.js MODEL.gguf DIRECTORY */
import { openBench, run } from "prism-gguf";

const [model = "model-f16.gguf", out = "prism-run"] = process.argv.slice(2);
const controller = new AbortController();
process.once("SIGINT", () => controller.abort());
const bench = await openBench({
  signal: controller.signal,
  progress: {
    note: (text) => console.error(text),
    steps: (what, done, total) => console.error(`${what}: ${done} of ${total}`),
  },
});
try {
  const { run: result, report } = await run(model, { out, like: "Q4_K_M", refine: 0, require: ["kld<=0.05"] }, bench);
  for (const { label, fileBytes, kld, verdict } of result.rows) console.log(label, fileBytes, kld?.mean, verdict);
  for (const { gate, met } of result.gates) console.log(`${gate}: ${met ? "met" : "missed"}`);
  console.log(`open ${report}`);
} catch (error) {
  // what is finished stays in the directory: the same program goes on from there
  if (!controller.signal.aborted) throw error;
} finally {
  await bench.close();
}
