import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import type { Analysis } from "../../src/analyze/analysis.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { RangeServer } from "../bytes/range-server.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { prism, scratchFolder, startPrism } from "./prism.ts";

const folder = scratchFolder();
const at = (name: string) => join(folder.path, name);
const run = (...args: string[]) => prism(args, folder.path, { HF_ENDPOINT: server.origin, HF_TOKEN: "" });
const readAnalysis = (name: string) => JSON.parse(readFileSync(at(name), "utf8")) as Analysis;

let server: RangeServer;
/** The model here, and there. */
let path: string;
let url: string;

beforeAll(async () => {
  path = await writeRunnable("llama", folder.path);
  const bytes = readFileSync(path);
  server = await RangeServer.start();
  server.files.set("/model.gguf", { bytes, etag: '"model"' });
  server.files.set("/o/r/resolve/main/model.gguf", { bytes, etag: '"model"' });
  url = `${server.origin}/model.gguf`;
});
beforeEach(() => server.reset());
afterAll(async () => {
  await server.stop();
  folder.remove();
});

describe("a model on a server", () => {
  it("is analyzed to the document of the local file but for path and time", async () => {
    const local = await run("analyze", path, "-o", "local.json");
    const remote = await run("analyze", url, "-o", "remote.json");
    expect([local.code, remote.code]).toEqual([0, 0]);
    expect(remote.stderr).toMatch(
      /^reading http:\S+model\.gguf over the network\nanalyzing\n[\d.]+ MB fetched, [\d.]+ [kM]B from the cache, of [\d.]+ MB\n$/,
    );
    const [here, there] = [readAnalysis("local.json"), readAnalysis("remote.json")];
    expect(there.model).toMatchObject({ path: url, shards: [url] });
    const bare = ({ model, createdAt: _, sampling, ...rest }: Analysis) => ({
      ...rest,
      model: { ...model, path: "", shards: [] },
      sampling: { ...sampling, elapsedMs: 0 },
    });
    expect(JSON.stringify(bare(there))).toBe(JSON.stringify(bare(here)));
  });

  it("is planned without a copy of it, and without fetching again; the plan is carried out on a copy", async () => {
    const planned = await run("plan", `${url}?sig=hush`, "--like", "Q4_K_M");
    expect(planned.code).toBe(0);
    expect(planned.stderr).toMatch(
      /\nusing the analysis of [\d-]+ from the cache.*\n0\.00 kB fetched, [\d.]+ [kM]B from the cache, of [\d.]+ MB\n$/,
    );
    // opened once, for budget and analysis: a byte, to see whether the file is still the same
    expect(server.asked.map(({ url, first, last }) => [url, first, last])).toEqual([["/model.gguf?sig=hush", 0, 0]]);
    expect(planned.stdout.trimEnd().split("\n").at(-1)).toBe("next: prism quantize plan.json --source model.gguf");
    const plan = JSON.parse(readFileSync(at("plan.json"), "utf8")) as Plan;
    expect(plan.source).toMatchObject({ path: url });
    for (const name of readdirSync(folder.path).filter((name) => /\.(json|sh|ps1|txt)$/.test(name))) {
      expect(readFileSync(at(name), "utf8"), name).not.toContain("hush");
    }
    expect(planned.stdout + planned.stderr).not.toContain("hush");
    const recipe = readFileSync(at("recipe.sh"), "utf8");
    expect(recipe).toContain(`# first: curl -fL -O ${url}\n`);
    expect(recipe).toContain("\nin='model.gguf'\n");

    const refused = await run("quantize", "plan.json", "-o", "q.gguf");
    expect(refused).toMatchObject({ code: 2, stdout: "" });
    expect(refused.stderr).toContain(
      `download it (curl -fL -O ${url}) and name it as the source (--source model.gguf)`,
    );
    const quantized = await run("quantize", "plan.json", "--source", path, "-o", "q.gguf");
    expect(quantized.code).toBe(0);
    expect(existsSync(at("q.gguf"))).toBe(true);
  });

  it("is inspected on the Hub, with and without the cache", async () => {
    const name = "hf:o/r/model.gguf@main";
    const fetched = [];
    for (const options of [[], [], ["--no-cache"]]) {
      const outcome = await run("inspect", name, "--json", ...options);
      expect(outcome.code).toBe(0);
      expect(JSON.parse(outcome.stdout)).toMatchObject({ path: name });
      fetched.push(server.asked.length);
    }
    // the header's piece, and each time the question which version it is
    expect(fetched).toEqual([2, 3, 5]);
    expect((await run("inspect", name, "--quiet")).stderr).toBe("");
  });

  it("is planned for a GPU from its header", async () => {
    const planned = await run("plan", "hf:o/r/model.gguf", "--vram", "546MB", "--kv", "q8_0", "-o", "gpu.json");
    expect(planned.code).toBe(0);
    const { budget } = JSON.parse(readFileSync(at("gpu.json"), "utf8")) as Plan;
    expect(budget.memory).toMatchObject({ vramBytes: 546e6, kvTypes: { k: "Q8_0", v: "Q8_0" } });
    expect(planned.stdout).toMatch(/\nMEMORY +546\.00 MB\nweights .*\nkeys and values .* tokens, Q8_0\n/);
    expect(planned.stdout.split("\n").filter((line) => line.length > 80)).toEqual([]);
  });

  it("is refused where the file itself is needed, with the command that downloads it", async () => {
    const message = "download it (hf download o/r model.gguf --local-dir .) and give model.gguf";
    const commands = [
      ["run", "hf:o/r/model.gguf", "--like", "Q3_K_M"],
      ["evaluate", path, "--reference", "hf:o/r/model.gguf"],
      ["plan", path, "--like", "Q3_K_M", "--imatrix", "hf:o/r/model.gguf", "-o", "other.json"],
    ];
    for (const command of commands) {
      const outcome = await run(...command);
      expect(outcome).toMatchObject({ code: 2, stdout: "" });
      expect(outcome.stderr).toContain(message);
    }
    expect(server.asked).toEqual([]);
  });

  it("that does not answer, is left on Ctrl-C", async () => {
    server.misbehave = () => true;
    const { child, outcome } = startPrism(["inspect", url], folder.path);
    while (server.asked.length === 0) await new Promise((resolve) => setTimeout(resolve, 20));
    child.kill("SIGINT");
    const { code, stdout, stderr } = await outcome;
    expect([code, stdout]).toEqual([130, ""]);
    expect(stderr).toContain("prism: interrupted");
  });

  it("that is not there, ends with one line", async () => {
    const outcome = await run("inspect", `${server.origin}/absent.gguf?sig=hush`);
    expect(outcome).toMatchObject({ code: 1, stdout: "" });
    expect(outcome.stderr).toMatch(
      /\nprism: http:\S+\/absent\.gguf: no such file \(status 404\); check the address\n$/,
    );
  });
});
