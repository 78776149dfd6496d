/** The run's directory: state.json read, checked and written after every step. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { writeFileAside } from "../aside-file.ts";
import { FormatError, UsageError } from "../errors.ts";
import { PRISM_VERSION } from "../version.ts";
import { RUN_SCHEMA, type Run, type RunAsked } from "./run-document.ts";

export interface RunDirectory {
  readonly path: string;
  readonly state: string;
  readonly analysis: string;
  readonly plan: string;
  readonly plans: string;
  model(slug: string): string;
  evaluation(slug: string): string;
}

export function runDirectory(path: string): RunDirectory {
  return {
    path,
    state: join(path, "state.json"),
    analysis: join(path, "analysis.json"),
    plans: join(path, "plans"),
    plan: join(path, "plans", "plan.json"),
    model: (slug) => join(path, "models", `${slug}.gguf`),
    evaluation: (slug) => join(path, "evaluations", `${slug}.json`),
  };
}

/**
 * The state to go on from, or a fresh one. Throws UsageError where the directory holds a run that was asked something
 * else; `force` starts it anew.
 */
export async function openRun(directory: RunDirectory, asked: RunAsked, force: boolean): Promise<Run> {
  const fresh: Run = {
    schema: RUN_SCHEMA,
    prismVersion: PRISM_VERSION,
    createdAt: new Date().toISOString(),
    asked,
    rows: [],
    gates: [],
    warnings: [],
  };
  const text = await readFile(directory.state, "utf8").catch((error: NodeJS.ErrnoException) => {
    if (error.code === "ENOENT") return undefined;
    throw error;
  });
  if (text === undefined || force) return fresh;
  const found = parseRun(text, directory.state);
  const difference = firstDifference(found.asked, asked);
  if (difference !== undefined) {
    throw new UsageError(
      `${directory.path} holds a run that was asked something else (${difference}); give another --out, or --force to replace it`,
    );
  }
  return found;
}

/** Read a run document. Throws FormatError for another file or version. */
export function parseRun(text: string, path: string): Run {
  let run: Partial<Run>;
  try {
    run = JSON.parse(text) as Partial<Run>;
  } catch (error) {
    throw new FormatError(path, `is not JSON (${(error as Error).message}); delete it to start the run anew`, {
      cause: error,
    });
  }
  if (run.schema !== RUN_SCHEMA || typeof run.asked !== "object" || !Array.isArray(run.rows)) {
    throw new FormatError(path, `expected a document of schema ${RUN_SCHEMA}, got ${String(run.schema)}`);
  }
  return run as Run;
}

export async function saveRun(directory: RunDirectory, run: Run): Promise<void> {
  await writeFileAside(directory.state, `${JSON.stringify(run, null, 2)}\n`);
}

function firstDifference(before: RunAsked, now: RunAsked): string | undefined {
  const keys = new Set([...Object.keys(before), ...Object.keys(now)]) as Set<keyof RunAsked>;
  for (const key of keys) {
    const [was, is] = [JSON.stringify(before[key]), JSON.stringify(now[key])];
    if (was !== is) return `${key} was ${was ?? "absent"}, now ${is ?? "absent"}`;
  }
  return undefined;
}
