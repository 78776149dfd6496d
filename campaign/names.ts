/**
 * Hostile names of files, models and tensors through the whole command line: what is printed, the pages, cards, tables
 * and pictures, and the scripts, which a real sh runs with a stub for llama-quantize.
 */
import { spawnSync } from "node:child_process";
import { chmod, mkdir, readdir, readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { EXIT } from "../src/errors.ts";
import type { NewKeyValue } from "../src/gguf/writer.ts";
import { readPlan } from "../src/plan/read-plan.ts";
import { renderTensorTypes } from "../src/plan/tensor-types.ts";
import { pathArgument } from "../src/shell-quote.ts";
import { writeSmallModel } from "../test/engine/small-model.ts";
import { llamaFamily, weight } from "../test/fixtures/families.ts";
import { crashOf, type Ended, runPrism } from "./command.ts";
import { type Draw, drawFor } from "./draw.ts";
import { CANARY, hostileName } from "./hostile-names.ts";
import { judgeCard, judgeCsv, judgeMarkup, judgePowerShell, judgeTerminal } from "./judge-renders.ts";
import { inLanes } from "./lanes.ts";
import { type FailureKind, type Request, type Result, Tally } from "./result.ts";
import { openWorkshop, type Room } from "./workshop.ts";

export interface NamesRequest extends Request {
  readonly lanes?: number;
  /** How often the names go through a whole run, which is ten times as slow. */
  readonly runs?: number;
}

const SIZES = { layers: 2, d: 64, ff: 128, heads: 2, kvHeads: 1 };
/** Bytes of a tensor's name, and of a file's, that are taken. */
const MAX_TENSOR_BYTES = 63;
const MAX_FILE_BYTES = 180;

const STUB = `#!/bin/sh
for argument in "$@"; do printf '%s\\0' "$argument"; done >"$STUB_ARGUMENTS"
`;

export async function attackByNames(request: NamesRequest): Promise<Result> {
  const { seed, count, first = 0, lanes = 2, runs = 0.3 } = request;
  const tally = new Tally("names", request);
  const workshop = await openWorkshop("names");
  try {
    await inLanes(lanes, first, async (index) => {
      if (index >= first + count) return false;
      const id = `names ${seed}/${index}`;
      const room = await workshop.room(id.replace(/\W/g, "-"));
      try {
        const draw = drawFor("names", seed, index);
        await attackOnce(room, draw, draw.chance(runs), tally, (kind, what) => tally.fail(kind, id, what));
      } finally {
        await room.close();
      }
      tally.ended();
      return true;
    });
  } finally {
    await workshop.close();
  }
  return tally.result();
}

type Fail = (kind: FailureKind, what: string) => void;

async function attackOnce(room: Room, draw: Draw, isRun: boolean, tally: Tally, fail: Fail): Promise<void> {
  const model = await writeHostile(room, draw, isRun);
  const prism = async (...args: string[]) => {
    const ended = await runPrism(args, room);
    tally.peak(ended.peakBytes);
    tally.count(`${args[0]}: ${ended.code === 0 ? "done" : "refused"}`);
    judgeEnded(args, ended, fail);
    return ended.code === 0;
  };
  // a name that begins like an option is given as a person would
  const path = pathArgument(model);
  await prism("inspect", path);
  if (isRun) {
    const wide = ["--like", "Q4_K_M", "--refine", "0", "--chunks", "2", "--context", "16", "--baseline", "Q4_K_M"];
    if (!(await prism("run", path, ...wide, "--threads", "1", "--out", "out/run"))) return;
    await prism("show", "out/run");
    await prism("report", "out/run", "--card", "-o", "out/card", "--repo", "a/b", "--base-model", "a/c");
    await prism("report", "out/run", "--csv", "out/csv", "--svg", "out/svg");
    await runRecipe(room, join(room.out, "run/plans"), path, fail);
  } else {
    // llama.cpp refuses a tensor of such a name
    const asked = ["--like", "Q4_K_M", "-o", "out/plan.json", "--threads", "1", "--force-findings"];
    if (!(await prism("plan", path, ...asked))) return;
    await prism("show", "out/plan.json");
    await prism("report", "out/plan.json", "-o", "out/r.html");
    await prism("report", "out/plan.json", "--csv", "out/csv", "--svg", "out/svg");
    await runRecipe(room, room.out, path, fail);
  }
  await judgeFiles(room, tally, fail);
}

/** A model with hostile names; a run's tensors must be llama.cpp's. */
async function writeHostile(room: Room, draw: Draw, isRun: boolean): Promise<string> {
  const family = llamaFamily(SIZES);
  const text = (key: string): NewKeyValue => ({ key, type: "string", value: hostileName(draw) });
  const keys = ["general.name", "general.license", "general.author", "general.basename", "general.finetune"];
  const add = keys.filter(() => draw.chance(0.6)).map(text);
  const extra = weight(cutTo(`${draw.pick(["blk.0.", ""])}${hostileName(draw)}`, MAX_TENSOR_BYTES - 7), 64, 64);
  const tensors = isRun
    ? family.tensors
    : [...family.tensors, { ...extra, name: `${extra.name.replace(/\.weight$/, "")}.weight` }];
  const name = draw.chance(0.7) ? cutTo(hostileName(draw).replace(/[/\0]/g, ""), MAX_FILE_BYTES) : "m";
  return `${(await writeSmallModel(room.cwd, name, { family: { ...family, tensors }, add })).slice(room.cwd.length + 1)}`;
}

/** At most so many bytes, whole characters. */
function cutTo(text: string, bytes: number): string {
  return Buffer.from(text)
    .subarray(0, bytes)
    .toString("utf8")
    .replace(/\ufffd+$/, "");
}

function judgeEnded(args: readonly string[], ended: Ended, fail: Fail): void {
  const crash = crashOf(ended);
  if (ended.hung) fail("hang", `${args.join(" ")}: no end`);
  else if (crash !== undefined) fail("crash", `${args.join(" ")}: ${crash}`);
  else if (ended.code === EXIT.usage) fail("wrong", `${args.join(" ")}: ${ended.stderr}`);
  for (const what of [...judgeTerminal(ended.stdout), ...judgeTerminal(ended.stderr)])
    fail("wrong", `${args[0]} prints ${what}`);
}

/** Run recipe.sh with a stub: what it is handed is what the plan says, and nothing else was run. */
async function runRecipe(room: Room, folder: string, path: string, fail: Fail): Promise<void> {
  const bin = join(room.cwd, "bin");
  const log = join(bin, "arguments");
  await mkdir(bin);
  for (const name of ["llama-quantize", "llama-perplexity"]) {
    await writeFile(join(bin, name), STUB);
    await chmod(join(bin, name), 0o755);
  }
  const env = { ...process.env, PATH: `${bin}:${process.env.PATH}`, STUB_ARGUMENTS: log };
  const sh = (...args: string[]) => spawnSync("sh", args, { cwd: room.cwd, env, encoding: "utf8" });
  sh(join(folder, "evaluate.sh"), "text.txt");
  const { status, stderr } = sh(join(folder, "recipe.sh"));
  if (status !== 0) return fail("wrong", `recipe.sh ends with ${status}: ${stderr}`);
  const found = (await readFile(log, "utf8")).split("\0").slice(0, -1);
  const tokens = await tokensOf(folder).catch((error: Error) => error);
  if (tokens instanceof Error) return fail("wrong", `what was planned can't be read: ${tokens.message}`);
  const given = found.filter((_, index) => found[index - 1] === "--tensor-type");
  if (!found.includes("--tensor-type-file") && given.join("\n") !== tokens.join("\n"))
    fail("wrong", `recipe.sh hands on ${given.join(" ")}`);
  if (found.at(-4) !== path) fail("wrong", `recipe.sh hands on the model ${found.at(-4)}`);
}

async function tokensOf(folder: string): Promise<string[]> {
  const plan = readPlan(await readFile(join(folder, "plan.json"), "utf8"), "plan.json");
  return renderTensorTypes(plan).trimEnd().split("\n");
}

const JUDGES: readonly (readonly [RegExp, (text: string) => string[]])[] = [
  [/\.(html|svg)$/, judgeMarkup],
  [/\.md$/, judgeCard],
  [/\.csv$/, judgeCsv],
  [/\.ps1$/, judgePowerShell],
];

async function judgeFiles(room: Room, tally: Tally, fail: Fail): Promise<void> {
  const entries = await readdir(room.cwd, { recursive: true, withFileTypes: true });
  if (entries.some(({ name }) => name === CANARY)) fail("wrong", "a name was run by sh");
  for (const { name, parentPath } of entries.filter(
    (entry) => entry.isFile() && entry.parentPath.startsWith(room.out),
  )) {
    for (const [fits, judge] of JUDGES) {
      if (!fits.test(name)) continue;
      tally.count(`files judged: ${fits.source.replace(/[\\$]/g, "")}`);
      for (const what of judge(await readFile(join(parentPath, name), "utf8"))) fail("wrong", `${name}: ${what}`);
    }
  }
}
