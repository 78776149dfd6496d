/** The file that a run made of a plan of its own, where it still lies beside it. */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import { fileExists } from "../disk/aside-file.ts";
import { runDirectory } from "../run/run-state.ts";
import type { MadeModel } from "./made-lines.ts";

export interface FileOfPlan {
  readonly made: MadeModel;
  /** The run's directory. */
  readonly run: string;
}

/** `RUN/models/plan.gguf`, or its parts, of `RUN/plans/plan.json`; undefined where there is none. */
export async function fileOfPlan(path: string): Promise<FileOfPlan | undefined> {
  const folder = dirname(path);
  if (basename(resolve(folder)) !== "plans") return undefined;
  const run = join(folder, "..");
  const { state, models } = runDirectory(run);
  if (!(await fileExists(state))) return undefined;
  const names = await readdir(models).catch(() => []);
  const slug = basename(path).replace(/\.json$/, "");
  const parts = names.filter((name) => name.replace(/(?:-\d{5}-of-\d{5})?\.gguf$/, "") === slug).sort();
  const [first] = parts;
  if (first === undefined) return undefined;
  const projector = names.find((name) => /^mmproj.*\.gguf$/i.test(name));
  return {
    run,
    made: {
      path: join(models, first),
      fileBytes: await bytesOf(parts.map((name) => join(models, name))),
      parts: parts.length,
      projector: projector && join(models, projector),
    },
  };
}

async function bytesOf(paths: readonly string[]): Promise<number> {
  const found = await Promise.all(paths.map((path) => stat(path)));
  return found.reduce((sum, { size }) => sum + size, 0);
}
