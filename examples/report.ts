/** Report, pictures and model card of a run: node report.js DIRECTORY */
import { card, exportFiles, report } from "prism-gguf";

const [out = "prism-run"] = process.argv.slice(2);
const { path, fileBytes } = await report(out);
console.log(`${path}: ${fileBytes} bytes`);
for (const file of await exportFiles(out, { svg: `${out}/pictures`, csv: `${out}/tables`, force: true }))
  console.log(file);
const { written, models } = await card([out], { license: "mit", baseModel: "owner/model", force: true });
console.log(written.join("\n"));
for (const { files } of models) for (const { path, publishAs } of files) console.log(`upload ${path} as ${publishAs}`);
