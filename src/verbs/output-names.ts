/** Names of output files that were not given. */
import { basename } from "node:path";
import { localName } from "../bytes/remote-name.ts";

/** `MODEL.analysis.json` in the current folder, after the file name of the model without shard number. */
export function defaultAnalysisPath(model: string): string {
  const stem = basename(localName(model)).replace(/(-\d{5}-of-\d{5})?(\.gguf)?$/i, "");
  return `${stem || "model"}.analysis.json`;
}

/** `prism-run-MODEL` in the current folder. */
export function defaultRunDirectory(model: string): string {
  return `prism-run-${basename(defaultAnalysisPath(model), ".analysis.json")}`;
}

/** What recipe files of a plan are named with: nothing for plan.json, else `NAME.`, so that plans of a folder differ. */
export function recipePrefix(plan: string): string {
  const stem = basename(plan).replace(/\.json$/i, "");
  return stem === "plan" ? "" : `${stem}.`;
}
