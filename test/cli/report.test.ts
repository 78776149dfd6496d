import { readFileSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";
import { prism, scratchFolder, startPrism } from "./prism.ts";

const folder = scratchFolder();
const { analysis, plan, run } = runInMemory();
const html = (path: string) => readFileSync(join(folder.path, path), "utf8");

beforeAll(async () => {
  await mkdir(join(folder.path, "run", "plans"), { recursive: true });
  writeFileSync(join(folder.path, "run", "state.json"), JSON.stringify(run));
  writeFileSync(join(folder.path, "run", "analysis.json"), JSON.stringify(analysis));
  for (const path of ["run/plans/plan.json", "mine.json"]) writeFileSync(join(folder.path, path), serializePlan(plan));
  writeFileSync(join(folder.path, "tiny.analysis.json"), JSON.stringify(analysis));
});
afterAll(folder.remove);

describe("prism report", () => {
  it("writes the report of a run into its directory, again and again", async () => {
    for (const source of ["run", "run/state.json"]) {
      const { code, stdout } = await prism(["report", source], folder.path);
      expect(code).toBe(0);
      expect(stdout).toMatch(/^wrote run\/report\.html \(/);
      expect(stdout).toContain("next: prism review run/plans/plan.json");
    }
    expect(html("run/report.html")).toContain("The plan beats Q3_K_M");
  });

  it("says nothing of the machine it was made on, unless asked", async () => {
    const away = {
      ...plan,
      source: { ...plan.source, path: "/home/somebody/models/tiny.gguf", shards: ["/home/somebody/models/tiny.gguf"] },
    };
    writeFileSync(join(folder.path, "away.json"), serializePlan(away));
    const cpu = cpus()[0]?.model.trim() ?? "unknown processor";
    expect((await prism(["report", "away.json"], folder.path)).code).toBe(0);
    expect(html("away.html")).not.toContain("/home/somebody");
    expect(html("away.html")).not.toContain(cpu);
    expect(html("away.html")).toContain("tiny.gguf");
    expect((await prism(["report", "away.json", "--machine", "--force"], folder.path)).code).toBe(0);
    expect(html("away.html")).toContain("/home/somebody/models/tiny.gguf");
    expect(html("away.html")).toContain(cpu);
  });

  it("writes that of a plan or an analysis beside it, and replaces nothing unless forced", async () => {
    for (const [source, target] of [
      ["mine.json", "mine.html"],
      ["tiny.analysis.json", "tiny.html"],
    ] as const) {
      const first = await prism(["report", source, "--json"], folder.path);
      expect(JSON.parse(first.stdout)).toEqual({ path: target, fileBytes: Buffer.byteLength(html(target)) });
      expect((await prism(["report", source], folder.path)).code).toBe(2);
      expect((await prism(["report", source, "--force"], folder.path)).code).toBe(0);
    }
  });

  it.each([
    ["missing.json", /no such file/],
    ["other.json", /is neither a run, a plan nor an analysis/],
    ["damaged.json", /cut off at byte 24,/],
    [".", /is no directory of a run/],
  ])("says what is wrong with %s", async (source, message) => {
    writeFileSync(join(folder.path, "other.json"), '{"schema":"other/1"}');
    writeFileSync(join(folder.path, "damaged.json"), '{"schema":"prism.plan/1"');
    const { code, stderr } = await prism(["report", source], folder.path);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(message);
  });

  it("does not write over what it is made of", async () => {
    const { code } = await prism(["report", "mine.json", "-o", "./mine.json", "--force"], folder.path);
    expect(code).toBe(2);
    expect(readFileSync(join(folder.path, "mine.json"), "utf8")).toBe(serializePlan(plan));
  });
});

describe("prism review", () => {
  it("prints an address on stderr, serves it, and ends with Ctrl-C as interrupted", async () => {
    const { child, outcome } = startPrism(["review", "mine.json"], folder.path);
    const address = await new Promise<string>((resolve, reject) => {
      let said = "";
      child.stderr?.on("data", (text: string) => {
        said += text;
        const found = /http:\/\/127\.0\.0\.1:\d+\/\?token=\w+/.exec(said);
        if (found) resolve(found[0]);
      });
      child.once("close", () => reject(new Error(`ended: ${said}`)));
    });
    const response = await fetch(address, { redirect: "manual" });
    expect(response.status).toBe(303);
    child.kill("SIGINT");
    const { stdout, code } = await outcome;
    expect(code).toBe(130);
    expect(stdout).toContain("mine.json is as it was");
  });

  it("says that a port is taken", async () => {
    const { child, outcome } = startPrism(["review", "mine.json"], folder.path);
    const port = await new Promise<string>((resolve) => {
      let said = "";
      child.stderr?.on("data", (text: string) => {
        said += text;
        const found = /127\.0\.0\.1:(\d+)/.exec(said);
        if (found) resolve(found[1] as string);
      });
    });
    const { code, stderr } = await prism(["review", "mine.json", "--port", port], folder.path);
    expect(code).toBe(2);
    expect(stderr).toContain("is taken");
    child.kill("SIGINT");
    await outcome;
  });
});
