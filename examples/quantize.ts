/** Make the GGUF that a plan describes, verified to the byte: node quantize.js PLAN.json OUT.gguf */
import { openBench, quantize } from "prism-gguf";

const [plan = "plan.json", output = "planned.gguf"] = process.argv.slice(2);
const bench = await openBench();
try {
  const { path, fileBytes, sha256 } = await quantize(plan, { output, force: true }, bench);
  console.log(`${path}: ${fileBytes} bytes, SHA-256 ${sha256}`);
} finally {
  await bench.close();
}
