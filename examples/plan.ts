/** Plan from an analysis, without an engine: node plan.js ANALYSIS.json PLAN.json */
import { readFile, writeFile } from "node:fs/promises";
import { explainTensor, plan, readAnalysis, renderRecipe } from "prism-gguf";

const [source = "analysis.json", target = "plan.json"] = process.argv.slice(2);
const analysis = readAnalysis(await readFile(source, "utf8"), source);
const planned = await plan(analysis, { like: "Q3_K_M", pin: ["token_embd=Q6_K"] });
await writeFile(target, JSON.stringify(planned));
// what stock llama-quantize executes
await writeFile("recipe.sh", renderRecipe(planned)["recipe.sh"]);
const { fileBytes, bpw } = planned.predicted;
console.log(`${target}: ${fileBytes} bytes, ${bpw.toFixed(3)} bits per weight`);
const [first] = planned.tensors.filter(({ reason }) => reason === "budget");
if (first !== undefined) console.log(explainTensor(planned, first.name));
