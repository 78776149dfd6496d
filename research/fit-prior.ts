/**
 * Fits the sensitivity prior to measured KL divergences and writes it into plans/:
 * `npx tsx research/fit-prior.ts --data DIR`.
 * DIR holds one JSON per model, made from the calibration data of the GGUF Tool Suite (research/measured-kld.ts says how
 * it is read); research/judge.ts says what the prior is worth on a model, or an architecture, that it was not fitted to.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Prior } from "../src/sensitivity/sensitivity-prior.ts";
import { measuredKinds } from "./measured-kinds.ts";
import { readMeasuredModels } from "./measured-kld.ts";
import { fitPrior } from "./prior-fit.ts";

/** Of this fit; raise it with every change of data or method. */
const VERSION = "1";
const CREDIT =
  "Fitted to single-tensor KL divergences measured by Thireus and the contributors of the GGUF Tool Suite " +
  "(https://github.com/Thireus/GGUF-Tool-Suite, MIT license)";

const { values } = parseArgs({ options: { data: { type: "string" } } });
if (values.data === undefined) throw new Error("give --data DIR, the folder of the measured KLD");
const models = readMeasuredModels(values.data);
const fit = fitPrior(models.flatMap(measuredKinds));
const prior: Prior = {
  schema: "prism.prior/1",
  version: VERSION,
  credit: CREDIT,
  source: {
    url: "https://github.com/Thireus/GGUF-Tool-Suite",
    commit: commitOf(join(values.data, `${models[0]?.name}.json`)),
    models: models.map(({ name }) => name),
  },
  ...fit,
};
const rounded = JSON.stringify(prior, (_, value) => (typeof value === "number" ? Number(value.toFixed(3)) : value), 2);
writeFileSync(new URL("../plans/sensitivity-prior.json", import.meta.url), `${rounded}\n`);

function commitOf(path: string): string {
  return (JSON.parse(readFileSync(path, "utf8")) as { commit: string }).commit;
}
