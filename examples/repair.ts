/** Mend what can be mended: node repair.js MODEL.gguf FIXED.gguf */
import { openBench, repair } from "prism-gguf";

const [model = "model-f16.gguf", output = "fixed.gguf"] = process.argv.slice(2);
const bench = await openBench();
try {
  const { plan, written } = await repair(model, { output, force: true }, bench);
  for (const change of plan.changes) console.log(change);
  console.log(
    written === undefined ? "nothing to do: no file was written" : `${written.path}: SHA-256 ${written.sha256}`,
  );
} finally {
  await bench.close();
}
