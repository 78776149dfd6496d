/**
 * Fits the sensitivity prior to measured KL divergences and writes it into plans/:
 * `npx tsx research/fit-prior.ts --data DIR`.
 * DIR holds one JSON per model, made from the calibration data of the GGUF Tool Suite (research/measured-kld.ts says how
 * it is read); research/judge.ts says what the prior is worth on a model, or an architecture, that it was not fitted to.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { growPrior, serializePrior } from "../src/sensitivity/grow-prior.ts";
import { measuredKinds } from "./measured-kinds.ts";
import { readMeasuredModels } from "./measured-kld.ts";

/** Of this fit; raise it with every change of data or method. */
const VERSION = "1";
const CREDIT =
  "Fitted to single-tensor KL divergences measured by Thireus and the contributors of the GGUF Tool Suite " +
  "(https://github.com/Thireus/GGUF-Tool-Suite, MIT license)";

const { values } = parseArgs({ options: { data: { type: "string" } } });
if (values.data === undefined) throw new Error("give --data DIR, the folder of the measured KLD");
const models = readMeasuredModels(values.data);
const prior = growPrior(
  {
    schema: "prism.prior/1",
    version: VERSION,
    credit: CREDIT,
    source: {
      url: "https://github.com/Thireus/GGUF-Tool-Suite",
      commit: commitOf(join(values.data, `${models[0]?.name}.json`)),
      models: models.map(({ name }) => name),
    },
    ...{ sizeExponent: 0, classes: {}, roles: {}, places: {}, architectures: {}, measured: [] },
  },
  models.map(measuredKinds),
);
writeFileSync(new URL("../plans/sensitivity-prior.json", import.meta.url), `${serializePrior(prior)}\n`);

function commitOf(path: string): string {
  return (JSON.parse(readFileSync(path, "utf8")) as { commit: string }).commit;
}
