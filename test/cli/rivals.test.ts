import { copyFile, readFile, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { Run } from "../../src/run/run-document.ts";
import { RangeServer } from "../bytes/range-server.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { prism as runPrism, scratchFolder } from "./prism.ts";

const { path: dir, remove } = scratchFolder();
const prism = (...args: string[]) => runPrism(args, dir);
let server: RangeServer;
let remote: string;

beforeAll(async () => {
  server = await RangeServer.start();
  remote = `${server.origin}/theirs.gguf`;
  for (const kind of ["llama", "qwen3"] as const) await writeRunnable(kind, dir);
  await writeFile(
    join(dir, "text.txt"),
    "A lamp stood on the table, and the rain went on until the morning came. ".repeat(40),
  );
  await prism("plan", "llama.gguf", "--like", "Q3_K_M", "-o", "plan.json");
  await prism("quantize", "plan.json", "-o", "other.gguf");
  server.files.set("/theirs.gguf", { bytes: await readFile(join(dir, "other.gguf")), etag: '"theirs"' });
});
afterAll(async () => {
  await server.stop();
  remove();
});

const RUN = ["run", "llama.gguf", "--like", "Q4_K_M", "--text", "text.txt", "--context", "16", "--chunks", "4"];
const QUICK = ["--refine", "0", "--imatrix", "none", "--feedback", "off"];
const run = (out: string, ...args: string[]) => prism(...RUN, ...QUICK, "--out", out, ...args);

const CLASSES = ["token_embd", "output", "attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down"];

describe("--sensitivity", () => {
  it("takes the densities that somebody published, as it takes a file", async () => {
    const densities = {
      schema: "prism.sensitivity/1",
      version: "theirs",
      lossUnit: "nats",
      densities: Object.fromEntries(CLASSES.map((name, index) => [name, 1e-3 * (1 + index)])),
    };
    const text = JSON.stringify(densities);
    await writeFile(join(dir, "probes.json"), text);
    server.files.set("/probes.json", { bytes: Buffer.from(text), etag: '"probes"' });
    const plans = [];
    for (const sensitivity of ["./probes.json", `${server.origin}/probes.json`]) {
      const made = await prism(
        "plan",
        "llama.gguf",
        "--bpw",
        "4",
        "--sensitivity",
        sensitivity,
        "-o",
        "by.json",
        "--force",
        "--json",
      );
      expect(made.code).toBe(0);
      const { tensors, sensitivity: by } = JSON.parse(made.stdout);
      plans.push({ tensors, by });
    }
    expect(plans[1]).toEqual(plans[0]);
    const gone = await prism("run", "llama.gguf", "--bpw", "4", "--sensitivity", `${server.origin}/gone.json`);
    expect([gone.code, gone.stderr]).toEqual([1, expect.stringMatching(/gone\.json: .*404/)]);
  });
});

describe("run --baseline", () => {
  it("judges files of others as they are, and types of others, beside presets; goes on only beside the same", async () => {
    const asked = [
      "--baseline",
      `Q4_K_M,other.gguf,${remote}`,
      "--baseline",
      "tensor-types.txt",
      "--speed",
      "on",
      "--require",
      "beats(OTHER.gguf) || size<=5GB",
    ];
    const { code, stdout, stderr } = await run("out", ...asked, "--json");
    expect(stderr).toContain(`fetching ${remote}`);
    expect(code).toBe(0);
    const { rows, asked: kept } = JSON.parse(stdout) as Run;
    const others = rows.filter(({ kind }) => ["rival", "published", "preset"].includes(kind));
    expect(others.map(({ label, kind, from }) => [label, kind, from])).toEqual(
      expect.arrayContaining([
        ["Q4_K_M", "preset", undefined],
        ["other.gguf", "rival", undefined],
        ["theirs.gguf", "rival", remote],
        ["types of tensor-types.txt", "published", undefined],
      ]),
    );
    expect(others).toHaveLength(4);
    const row = (name: string) => rows.find(({ label }) => label === name);
    // one and the same file, made three ways
    expect(row("theirs.gguf")?.sha256).toBe(row("other.gguf")?.sha256);
    expect(row("theirs.gguf")?.kld).toEqual(row("other.gguf")?.kld);
    expect(row("types of tensor-types.txt")?.kld).toEqual(row("other.gguf")?.kld);
    expect(row("other.gguf")?.verdictCode).toBe("no-verdict");
    expect(row("other.gguf")?.speed?.generation.value).toBeGreaterThan(0);
    expect(row("types of tensor-types.txt")?.speed).toBeUndefined();
    expect(kept.baselines).toHaveLength(4);

    const again = await run("out", ...asked, "--json");
    expect(again.code).toBe(0);
    expect((JSON.parse(again.stdout) as Run).rows).toEqual(rows);

    await prism("plan", "llama.gguf", "--like", "Q3_K_S", "-o", "plan.json", "--force");
    await prism("quantize", "plan.json", "-o", "other.gguf", "--force");
    await writeFile(join(dir, "tensor-types.txt"), await readFile(join(dir, "out", "plans", "tensor-types.txt")));
    const changed = await run("out", ...asked);
    expect(changed.code).toBe(2);
    expect(changed.stderr).toMatch(/asked something else: --baseline was .*other\.gguf/);
  });

  it("refuses what is not of the model, before any work", async () => {
    await copyFile(join(dir, "qwen3.gguf"), join(dir, "stranger.gguf"));
    const cases: [string, number, RegExp][] = [
      [
        "stranger.gguf",
        1,
        /stranger\.gguf: is a qwen3 and the run's model llama\.gguf a llama: not files of one model/,
      ],
      ["nothere.gguf", 1, /nothere\.gguf: no such file/],
      ["Q9_X", 2, /--baseline "Q9_X": neither a file nor a preset of llama-quantize/],
      ["text.txt", 1, /text\.txt: line 1: "A" is no PATTERN=TYPE/],
      [`${server.origin}/none.gguf`, 1, /none\.gguf: .*404/],
    ];
    for (const [baseline, exit, says] of cases) {
      const { code, stderr } = await run("refused", "--baseline", baseline);
      expect([baseline, code]).toEqual([baseline, exit]);
      expect(stderr).toMatch(says);
      expect(stderr).not.toContain("analysis:");
    }
    const kept = await run("refused", "--baseline", remote, "--no-cache");
    expect(kept.code).toBe(2);
    expect(kept.stderr).toMatch(/--no-cache leaves no place to keep it; download it/);
    await rm(join(dir, "stranger.gguf"));
  });
});
