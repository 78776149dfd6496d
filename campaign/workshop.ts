/** Where real commands are attacked: a tiny model, what they read, and for each case a room with a cache of its own. */
import { constants, cpSync } from "node:fs";
import { copyFile, mkdir, mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { writeSmallModel } from "../test/engine/small-model.ts";
import { type Ended, runPrism, type Where } from "./command.ts";
import { type Snapshot, takeSnapshot } from "./snapshot.ts";

/** A command that ends in a second or two, reads what stands in a room and writes to `out`. */
export interface Job {
  readonly name: string;
  readonly args: readonly string[];
}

/** Two lanes of two threads each would wait for one another. */
const ONE_THREAD = ["--threads", "1"];
const SHORT = ["--chunks", "4", "--context", "16", ...ONE_THREAD];
const BARE_RUN = ["run", "m.gguf", ...SHORT, "--out", "out/run", "--feedback", "off"];
const RUN = [...BARE_RUN, "--imatrix", "none"];

export const JOBS: readonly Job[] = [
  { name: "run, refined", args: [...RUN, "--like", "Q3_K_M", "--refine", "2"] },
  { name: "run, sweep", args: [...RUN, "--budgets", "5,6", "--refine", "0"] },
  { name: "run, own imatrix", args: [...BARE_RUN, "--like", "Q4_K_M", "--refine", "0"] },
  {
    name: "run, text and imatrix",
    args: [...BARE_RUN, "--like", "Q4_K_M", "--text", "text.txt", "--imatrix", "i.gguf"],
  },
  {
    name: "run, error feedback",
    args: [...RUN, "--feedback", "on", "--calibration", "text.txt", "--like", "Q4_K_M", "--refine", "0"],
  },
  { name: "run, target", args: [...RUN, "--kld", "0.1", "--mode", "class", "--refine", "0"] },
  { name: "analyze", args: ["analyze", "m.gguf", "-o", "out/a.json", ...ONE_THREAD] },
  { name: "plan", args: ["plan", "m.gguf", "--like", "Q4_K_M", "-o", "out/plan.json", ...ONE_THREAD] },
  { name: "quantize", args: ["quantize", "plan.json", "-o", "out/q.gguf", ...ONE_THREAD] },
  { name: "evaluate", args: ["evaluate", "q.gguf", "--reference", "m.gguf", ...SHORT, "-o", "out/e.json"] },
  { name: "imatrix", args: ["imatrix", "m.gguf", ...SHORT, "-o", "out/i.gguf"] },
];

export function jobNamed(name: string): Job {
  const found = JOBS.find((job) => job.name === name);
  if (found === undefined) throw new Error(`no job is called ${name}`);
  return found;
}

/** A plan is several files: interrupted among them, it asks for --force when it is given again. */
export function forceOf({ name }: Job): string[] {
  return name === "plan" ? ["--force"] : [];
}

/** The arguments of a job with its output in another folder: out-NAME, which a snapshot takes for out. */
export function elsewhere({ args }: Job, folder: string): string[] {
  return args.map((arg) => arg.replace(/^out\//, `${folder}/`));
}

export interface Baseline {
  readonly snapshot: Snapshot;
  readonly ms: number;
}

export interface Room extends Where {
  readonly out: string;
  snapshot(): Promise<Snapshot>;
  /** Names in the room and its cache of files that were never finished. */
  halves(): Promise<string[]>;
  close(): Promise<void>;
}

export interface Workshop {
  readonly root: string;
  /** A folder with all that jobs read. */
  room(name: string): Promise<Room>;
  /** What comes out undisturbed, and how long it takes with the caches cold; of another model in the place of m.gguf. */
  baseline(job: Job, model?: "m.gguf" | "b.gguf"): Promise<Baseline>;
  close(): Promise<void>;
}

const TEXT = "A lamp stood in the window of the house, and nobody had lit it for a year.\n".repeat(40);

export async function openWorkshop(name: string): Promise<Workshop> {
  const root = await mkdtemp(join(tmpdir(), `prism-campaign-${name}-`));
  const template = join(root, "template");
  await mkdir(join(template, "cache"), { recursive: true });
  await writeSmallModel(template, "m");
  await writeSmallModel(template, "b", { seed: 2 });
  await copyFile(join(template, "m.gguf"), join(template, "a.gguf"));
  await writeFile(join(template, "text.txt"), TEXT);
  const make = async (...args: string[]) => {
    const ended = await runPrism(args, { cwd: template, cache: join(template, "cache"), limitMs: 300_000 });
    if (ended.code !== 0) throw new Error(`prism ${args.join(" ")}: ${ended.stderr}`);
  };
  await make("imatrix", "m.gguf", ...SHORT, "-o", "i.gguf");
  await make("plan", "m.gguf", "--like", "Q4_K_M", "-o", "plan.json");
  await make("quantize", "plan.json", "-o", "q.gguf");
  // the kernels are compiled once; all else is each room's own
  for (const entry of await readdir(join(template, "cache"))) {
    if (entry !== "kernels") await rm(join(template, "cache", entry), { recursive: true });
  }
  const baselines = new Map<string, Promise<Baseline>>();
  const room = (name: string) => openRoom(template, join(root, name));
  const measure = async (job: Job, model: string): Promise<Baseline> => {
    const own = await room(`baseline-${job.name.replace(/\W/g, "-")}-${model}`);
    await copyFile(join(template, model), join(own.cwd, "m.gguf"));
    const { code, ms, stderr }: Ended = await runPrism(job.args, own);
    if (code !== 0) throw new Error(`prism ${job.args.join(" ")}: ${stderr}`);
    const snapshot = await own.snapshot();
    await own.close();
    return { snapshot, ms };
  };
  return {
    root,
    room,
    baseline(job, model = "m.gguf") {
      const key = `${job.name} of ${model}`;
      const known = baselines.get(key) ?? measure(job, model);
      baselines.set(key, known);
      return known;
    },
    close: () => rm(root, { recursive: true, force: true }),
  };
}

async function openRoom(template: string, cwd: string): Promise<Room> {
  const out = join(cwd, "out");
  await mkdir(out, { recursive: true });
  for (const entry of await readdir(template, { withFileTypes: true })) {
    const from = join(template, entry.name);
    if (entry.isFile()) await copyFile(from, join(cwd, entry.name), constants.COPYFILE_FICLONE);
    else cpSync(from, join(cwd, entry.name), { recursive: true, preserveTimestamps: true });
  }
  return {
    ...{ cwd, cache: join(cwd, "cache"), out },
    snapshot: () => takeSnapshot(out),
    async halves() {
      const names = await readdir(cwd, { recursive: true });
      return names.filter((name) => /\.part$|\.lock(\.|$)/.test(name));
    },
    close: () => rm(cwd, { recursive: true, force: true }),
  };
}
