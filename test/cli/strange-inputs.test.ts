/**
 * Every input and every output of every command, given what it can't be. Devices stand behind links, so that a program
 * which would replace one replaces its link.
 */
import { execFileSync, spawn } from "node:child_process";
import { copyFile, cp, lstat, mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createRandom } from "../../src/random.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { MODEL } from "./prism.ts";

const RECIPE = resolve(import.meta.dirname, "../../plans/qwen3.5-0.8b-prism-dq.json");
const DOCUMENTS = resolve(import.meta.dirname, "../documents/first-release");
/** A model with something to repair. */
const REPAIRABLE = "causal-reranker.gguf";
/** Of one call; they take a tenth of a second, and some of that is other work's. */
const LIMIT_MS = 20_000;
const MAX_PEAK_BYTES = 600e6;

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-cli-strange-"));
  await writeRunnable("llama", dir);
  await writeRunnable("causal-reranker", dir);
  await writeRunnable("reranker", dir);
  await writeRunnable("embedder", dir);
  await writeFile(join(dir, "text.txt"), "A lamp stood on the table until the morning came. ".repeat(60));
  await writeFile(join(dir, "set.jsonl"), '{"query":"q","documents":["one","two","three"],"relevance":[1,0,0]}\n');
  await copyFile(join(DOCUMENTS, "analysis.json"), join(dir, "a.json"));
  await mkdir(join(dir, "a-run/plans"), { recursive: true });
  for (const name of ["state.json", "analysis.json"]) await copyFile(join(DOCUMENTS, name), join(dir, "a-run", name));
  await copyFile(join(DOCUMENTS, "plan.json"), join(dir, "a-run/plans/plan.json"));
  const plan = JSON.parse(await readFile(join(DOCUMENTS, "plan.json"), "utf8"));
  const imatrix = {
    path: "im.gguf",
    sha256: "0".repeat(64),
    file: "im.gguf",
    dataset: "text.txt",
    entries: 1,
    chunks: 1,
  };
  await writeFile(join(dir, "p.json"), JSON.stringify({ ...plan, imatrix }));
  await symlink(MODEL, join(dir, plan.source.path));
});
afterAll(() => rm(dir, { recursive: true, force: true }));

type Make = (path: string) => unknown;

const pipe: Make = (path) => execFileSync("mkfifo", [path]);

const STRANGE: Readonly<Record<string, Make>> = {
  pipe,
  device: (path) => symlink("/dev/zero", path),
  folder: (path) => mkdir(path),
  empty: (path) => writeFile(path, ""),
  zeros: (path) => writeFile(path, new Uint8Array(1e6)),
  noise(path) {
    const random = createRandom(7);
    return writeFile(
      path,
      Uint8Array.from({ length: 1e6 }, () => random() * 256),
    );
  },
  missing: () => undefined,
};

type Call = (path: string) => string;

/** By command and what of it is strange; words of a command line have no spaces here. */
const INPUTS: Readonly<Record<string, Call>> = {
  "inspect model": (x) => `inspect ${x}`,
  "inspect --mmproj": (x) => `inspect llama.gguf --vram 1GB --mmproj ${x}`,
  "analyze model": (x) => `analyze ${x} -o new.json`,
  "analyze --imatrix": (x) => `analyze llama.gguf --imatrix ${x} -o new.json`,
  "plan model": (x) => `plan ${x} --bpw 4 -o new.json`,
  "plan --imatrix": (x) => `plan llama.gguf --imatrix ${x} --bpw 4 -o new.json`,
  "plan --sensitivity": (x) => `plan a.json --sensitivity ./${x} --bpw 4 -o new.json`,
  "plan --mmproj": (x) => `plan llama.gguf --vram 1GB --mmproj ${x} -o new.json`,
  "plan --prior": (x) => `plan a.json --prior ${x} --bpw 4 -o new.json`,
  "plan --from": (x) => `plan --from ${x} -o new.json`,
  "plan model, with --from": (x) => `plan ${x} --from p.json -o new.json`,
  "plan --recipe": (x) => `plan a.json --recipe ${x} -o new.json`,
  "plan --template": (x) => `plan a.json --template ${x} -o new.json`,
  "plan model, with --recipe": (x) => `plan ${x} --recipe ${RECIPE} -o new.json`,
  "show source": (x) => `show ${x}`,
  "show --diff": (x) => `show p.json --diff ${x}`,
  "prior files": (x) => `prior show ${x}`,
  "prior files, to add": (x) => `prior add ${x} -o new.json`,
  "prior --prior": (x) => `prior add a-run --prior ${x} -o new.json`,
  "quantize plan.json": (x) => `quantize ${x} -o new.gguf`,
  "quantize --source": (x) => `quantize p.json --source ${x} -o new.gguf`,
  "quantize --imatrix": (x) => `quantize p.json --imatrix ${x} -o new.gguf`,
  "quantize --llama-dir": (x) => `quantize p.json --llama-dir ${x} -o new.gguf`,
  "evaluate model": (x) => `evaluate ${x} --text text.txt`,
  "evaluate model, a second": (x) => `evaluate llama.gguf ${x} --text text.txt`,
  "evaluate model, with --rerank": (x) => `evaluate ${x} --rerank set.jsonl`,
  "evaluate --reference": (x) => `evaluate llama.gguf --reference ${x}`,
  "evaluate --text": (x) => `evaluate llama.gguf --text ${x}`,
  "evaluate --retrieval": (x) => `evaluate embedder.gguf --retrieval ${x}`,
  "evaluate --rerank": (x) => `evaluate reranker.gguf --rerank ${x}`,
  "evaluate --mmproj": (x) => `evaluate reranker.gguf --rerank set.jsonl --mmproj ${x}`,
  "evaluate --llama-dir": (x) => `evaluate llama.gguf --text text.txt --llama-dir ${x}`,
  "imatrix model": (x) => `imatrix ${x} -o new.gguf`,
  "imatrix --text": (x) => `imatrix llama.gguf --text ${x} -o new.gguf`,
  "imatrix --llama-dir": (x) => `imatrix llama.gguf --text text.txt --llama-dir ${x} -o new.gguf`,
  "report source": (x) => `report ${x} -o new.html`,
  "report source, for a card": (x) => `report --card ${x} -o new`,
  "report source, for tables": (x) => `report ${x} --csv new`,
  "review plan": (x) => `review ${x}`,
  "run model": (x) => `run ${x} --bpw 4 --out new`,
  "run --imatrix": (x) => `run llama.gguf --imatrix ${x} --bpw 4 --out new`,
  "run --sensitivity": (x) => `run llama.gguf --sensitivity ./${x} --bpw 4 --out new`,
  "run --mmproj": (x) => `run llama.gguf --vram 1GB --mmproj ${x} --out new`,
  "run --prior": (x) => `run llama.gguf --prior ${x} --bpw 4 --out new`,
  "run --text": (x) => `run llama.gguf --text ${x} --bpw 4 --refine 0 --out new --force`,
  "run --retrieval": (x) => `run embedder.gguf --retrieval ${x} --bpw 8 --out new`,
  "run --rerank": (x) => `run reranker.gguf --rerank ${x} --bpw 4 --out new`,
  "run --llama-dir": (x) => `run llama.gguf --llama-dir ${x} --text text.txt --bpw 4 --out new`,
  "serve model": (x) => `serve ${x}`,
  "serve --mmproj": (x) => `serve reranker.gguf --mmproj ${x}`,
  "serve --api-key-file": (x) => `serve reranker.gguf --api-key-file ${x}`,
  "repair model": (x) => `repair ${x} -o new.gguf`,
  "upload run": (x) => `upload ${x} me/model`,
};

/** Files of a run's directory. */
const RUN_FILES = ["state.json", "analysis.json", "plans/plan.json"] as const;

/** Files that a command writes, and folders. */
const FILES: Readonly<Record<string, Call>> = {
  "analyze --out": (x) => `analyze llama.gguf -o ${x} --force`,
  "plan --out": (x) => `plan a.json --bpw 4 -o ${x} --force`,
  "quantize --out": (x) => `quantize a-run/plans/plan.json -o ${x} --force`,
  "evaluate --out": (x) => `evaluate llama.gguf --text text.txt -o ${x} --force`,
  "evaluate --csv": (x) => `evaluate llama.gguf --text text.txt --csv ${x} --force`,
  "imatrix --out": (x) => `imatrix llama.gguf --text text.txt -o ${x} --force`,
  "prior --out": (x) => `prior add a-run -o ${x} --force`,
  "repair --out": (x) => `repair ${REPAIRABLE} -o ${x} --force`,
  "report --out": (x) => `report a.json -o ${x} --force`,
};
const FOLDERS: Readonly<Record<string, Call>> = {
  "plan --recipe-dir": (x) => `plan a.json --bpw 4 -o new.json --recipe-dir ${x} --force`,
  "report --out, of a card": (x) => `report --card a-run -o ${x} --force`,
  "report --svg": (x) => `report a.json --svg ${x} --force`,
  "report --png": (x) => `report a.json --png ${x} --force`,
  "report --csv": (x) => `report a.json --csv ${x} --force`,
  "run --out": (x) => `run llama.gguf --text text.txt --bpw 4 --refine 0 --out ${x} --force`,
  "upload --out": (x) => `upload a-run me/model -o ${x} --force`,
};

interface Outcome {
  readonly code: number | "no end";
  readonly said: string;
  readonly peakBytes: number;
}

let callFiles = 0;

async function callAll(lines: readonly string[]): Promise<Outcome[]> {
  const path = join(dir, `calls-${++callFiles}.json`);
  await writeFile(path, JSON.stringify(lines.map((line) => line.split(" "))));
  const script = join(import.meta.dirname, "many-calls.mjs");
  const child = spawn(process.execPath, [script, path, `${LIMIT_MS}`], {
    cwd: dir,
    env: { ...process.env, PRISM_CACHE_DIR: join(dir, "cache"), PRISM_ISA: "none" },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const outcomes: Outcome[] = [];
  for await (const line of createInterface({ input: child.stdout })) outcomes.push(JSON.parse(line));
  return outcomes;
}

/** What is wrong with how a call was refused. */
function faults({ code, said, peakBytes }: Outcome, path: string, codes: readonly number[]): string[] {
  const last = said.trimEnd().split("\n").at(-1) ?? "";
  return [
    ...(codes.includes(code as number) ? [] : [`code ${code}`]),
    ...(last.startsWith("prism: ") && last.includes(path) && last.length > `prism: ${path}: `.length + 10
      ? []
      : [`says ${JSON.stringify(said)}`]),
    ...(/bug in prism|\n +at /.test(said) ? ["calls it a bug"] : []),
    ...(peakBytes < MAX_PEAK_BYTES ? [] : [`${peakBytes} bytes`]),
  ];
}

async function refuses(calls: readonly (readonly [line: string, path: string, codes?: readonly number[]])[]) {
  const outcomes = await callAll(calls.map(([line]) => line));
  const found = outcomes.flatMap((outcome, index) => {
    const [line, path, codes = [1, 2]] = calls[index] as (typeof calls)[number];
    return faults(outcome, path, codes).map((fault) => `${line}: ${fault}`);
  });
  expect(found).toEqual([]);
  expect(outcomes).toHaveLength(calls.length);
}

/** What an input is given: a pipe, which hangs whoever opens it, and of the others two in turn; on request all. */
function kindsFor(index: number): string[] {
  const [first, ...others] = Object.keys(STRANGE) as [string, ...string[]];
  if (process.env.PRISM_ALL_CASES === "1") return [first, ...others];
  return [first, ...[0, 3].map((offset) => others[(index + offset) % others.length] as string)];
}

/** A missing engine has a code of its own. */
const codesOf = (name: string) => (name.endsWith("--llama-dir") ? [4] : [1, 2]);

describe("a command line", () => {
  it("has no input or output that the tables here leave out", async () => {
    const [all] = (await callAll(["--help"])) as [Outcome];
    const commands = [...all.said.matchAll(/^ {2}(\w+) \[options\]/gm)].map(([, command]) => command as string);
    expect(commands.length).toBeGreaterThan(10);
    const helps = await callAll(commands.map((command) => `${command} --help`));
    const places = helps.flatMap(({ said }, index) => {
      const [, named = ""] = /^Usage: prism \w+ \[options\](.*)$/m.exec(said) ?? [];
      const options = said.matchAll(/^ {2}(?:-\w, )?(--[\w-]+) [<[](?:file|model|plan|dir|path)[>\]]/gm);
      return [...named.matchAll(/\w[\w.]*\w/g), ...options].map(
        ([whole, option = whole]) => `${commands[index]} ${option.replace("...", "")}`,
      );
    });
    const known = new Set(Object.keys({ ...INPUTS, ...FILES, ...FOLDERS }));
    // doctor tells what is missing, and refuses nothing; an action is a word
    expect(places.filter((place) => !known.has(place)).sort()).toEqual(["doctor --llama-dir", "prior action"]);
  });
});

describe.skipIf(process.platform === "win32")("an input that is none", () => {
  const kinds = Object.entries(STRANGE);

  it("is refused by every command", async () => {
    for (const [kind, make] of kinds) await make(join(dir, `x-${kind}`));
    const calls = Object.entries(INPUTS).flatMap(([name, call], index) =>
      kindsFor(index).map((kind) => [call(`x-${kind}`), `x-${kind}`, codesOf(name)] as const),
    );
    const middle = calls.length >> 1;
    await Promise.all([refuses(calls.slice(0, middle)), refuses(calls.slice(middle))]);
  });

  it("is refused in a run's directory, wherever the run is read", async () => {
    const calls: [string, string][] = [];
    for (const [kind, make] of kinds.filter(([kind]) => kind !== "missing")) {
      for (const file of RUN_FILES) {
        const run = `run-${kind}-${file.replace(/\W/g, "-")}`;
        await cp(join(dir, "a-run"), join(dir, run), { recursive: true });
        await rm(join(dir, run, file));
        await make(join(dir, run, file));
        for (const call of [`report ${run} --force`, `show ${run}`, `report --card ${run}`]) {
          calls.push([call, join(run, file)]);
        }
      }
    }
    await refuses(calls);
  });
});

describe.skipIf(process.platform === "win32")("an output that can't be one", () => {
  it("is refused before the work, even with --force, and left as it is", async () => {
    const KINDS: Readonly<Record<string, Make>> = {
      null: (path) => symlink("/dev/null", path),
      full: (path) => symlink("/dev/full", path),
      pipe,
    };
    const calls: [string, string][] = [];
    for (const [kind, make] of Object.entries({ ...KINDS, folder: (path: string) => mkdir(path) })) {
      await make(join(dir, `o-${kind}`));
      for (const call of Object.values(FILES)) calls.push([call(`o-${kind}`), `o-${kind}`]);
    }
    for (const kind of [...Object.keys(KINDS), "text.txt"]) {
      const path = kind in KINDS ? `o-${kind}` : kind;
      for (const call of Object.values(FOLDERS)) calls.push([call(path), path]);
    }
    await refuses(calls);
    for (const kind of ["null", "full"]) {
      expect((await lstat(join(dir, `o-${kind}`))).isSymbolicLink(), kind).toBe(true);
    }
    expect((await lstat(join(dir, "o-pipe"))).isFIFO()).toBe(true);
    expect((await readdir(dir)).filter((name) => name.endsWith(".part"))).toEqual([]);
  });
});
