/** An importance matrix from a text: node imatrix.js MODEL.gguf TEXT.txt IMATRIX.gguf */
import { imatrix, openBench } from "prism-gguf";

const [model = "model-f16.gguf", text = "text.txt", output = "imatrix.gguf"] = process.argv.slice(2);
const bench = await openBench();
try {
  const { path, entries, chunks, holes } = await imatrix(model, { text, output, context: 64, force: true }, bench);
  console.log(`${path}: ${entries} tensors over ${chunks} chunks, ${holes.length} classes with holes`);
} finally {
  await bench.close();
}
