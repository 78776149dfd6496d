/** What a model is and what is wrong with it: node inspect.js MODEL.gguf */
import { inspect } from "prism-gguf";

const [model = "model-f16.gguf"] = process.argv.slice(2);
const { arch, presets, findings } = await inspect(model);
console.log(`${model}: ${arch}`);
for (const { fileType, fileBytes } of presets) console.log(`  as ${fileType}: ${fileBytes} bytes`);
for (const { severity, message, remedy } of findings) console.log(`${severity}: ${message}; ${remedy}`);
