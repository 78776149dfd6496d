import { chmod, mkdtemp, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Engine, type PerplexityJob, type Programs, requireLibrary } from "../../src/engine/engine.ts";
import { createLogitsFile, logitsFileBytes } from "../../src/engine/logits-file.ts";
import { openEngine } from "../../src/engine/open-engine.ts";
import { openProgramsEngine, quantizeArguments } from "../../src/engine/programs.ts";
import { EngineError, FormatError, UsageError } from "../../src/errors.ts";
import { FINAL_ESTIMATE, KL_DIVERGENCE } from "./recorded-logs.ts";

let dir: string;
let calls: string;
let logits: string;

beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-programs-"));
  calls = join(dir, "calls");
  logits = join(dir, "reference.logits");
  const tokens = { context: 64, chunks: 4, ids: new Int32Array(256) };
  await createLogitsFile(logits, tokens, 10);
  await truncate(logits, logitsFileBytes({ ...tokens, vocabSize: 10 }));
});
afterAll(() => rm(dir, { recursive: true }));

/** A program that notes its arguments and then runs `body`; `call` counts its calls from 1. */
async function fake(name: string, body: string): Promise<void> {
  const path = join(dir, name);
  const script = `#!${process.execPath}
const { appendFileSync, readFileSync } = require("node:fs");
const args = process.argv.slice(2);
if (args[0] === "--version") { console.error("version: 0.5.0-dev (build 1, commit 0ad4a86)"); process.exit(0); }
appendFileSync(${JSON.stringify(calls)}, JSON.stringify(args) + "\\n");
const call = readFileSync(${JSON.stringify(calls)}, "utf8").trim().split("\\n").length;
${body}`;
  await writeFile(path, script);
  await chmod(path, 0o755);
}

async function openFakes(quantize: string, perplexity: string) {
  await rm(calls, { force: true });
  await fake("llama-quantize", quantize);
  await fake("llama-perplexity", perplexity);
  return openProgramsEngine({ dir });
}

async function recordedCalls(): Promise<string[][]> {
  return (await readFile(calls, "utf8"))
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
}

const prints = (text: string) => `process.stdout.write(${JSON.stringify(text)});`;
const plainJob = { model: "m.gguf", threads: 3, gpuLayers: 0, text: { path: "t.txt", context: 64, chunks: 4 } };
const kldJob = () => ({ model: "m.gguf", threads: 3, gpuLayers: 0, logits });
const quantizeJob = {
  source: "in.gguf",
  output: "out.gguf",
  fileType: "Q4_K_M",
  overrides: [{ pattern: "^output\\.weight$", type: "Q8_0" }],
  threads: 2,
} as const;

function programsOf({ programs }: Engine): Programs {
  if (programs === undefined) throw new Error("no programs");
  return programs;
}

describe("the arguments of llama-quantize", () => {
  it("are all flags, then source, output, file type and threads", () => {
    expect(quantizeArguments({ ...quantizeJob, allowRequantize: true, fixAlignment: true })).toEqual([
      "--allow-requantize",
      "--override-kv",
      "general.alignment=int:32",
      "--tensor-type",
      "^output\\.weight$=q8_0",
      "in.gguf",
      "out.gguf",
      "Q4_K_M",
      "2",
    ]);
    const imatrix = { path: "i.gguf", importance: new Map(), file: "", dataset: "", entries: 0, chunks: 0 };
    expect(quantizeArguments({ ...quantizeJob, dryRun: true, imatrix }).slice(0, 3)).toEqual([
      "--dry-run",
      "--imatrix",
      "i.gguf",
    ]);
  });
});

describe.skipIf(process.platform === "win32")("the programs of a llama.cpp build", () => {
  it("are found with their version", async () => {
    const engine = await openFakes("", "");
    expect(engine.info).toEqual({
      kind: "programs",
      version: "0.5.0-dev (build 1, commit 0ad4a86)",
      origin: dir,
      devices: [],
    });
    expect(engine.library).toBeUndefined();
    expect(() => requireLibrary(engine)).toThrow(/measuring distortion and probing need libggml/);
    expect(() => requireLibrary(engine)).toThrow(expect.objectContaining({ code: "engine-missing", exitCode: 4 }));
  });

  it("keep the embedded library for round trips, whatever layers they are to put on a GPU", async () => {
    await (await openFakes("", "")).close();
    const engine = await openEngine({ threads: 1, gpuLayers: 99, llamaDir: dir });
    const data = new Uint8Array(new Float32Array(32).fill(1).buffer);
    const row = { sourceType: "F32", rowElements: 32, data, bandRows: 1, types: ["Q8_0"] } as const;
    expect((await requireLibrary(engine).roundTrip(row)).power[0]).toBeCloseTo(32, 6);
    await engine.close();
  });

  it("are missing with exit code 4 and the places they were sought in", async () => {
    const empty = await mkdtemp(join(tmpdir(), "prism-no-programs-"));
    const opened = openEngine({ threads: 1, llamaDir: empty });
    await expect(opened).rejects.toMatchObject({ code: "engine-missing", exitCode: 4 });
    await expect(opened).rejects.toThrow(`llama-quantize was not found in ${empty}, ${join(empty, "bin")}`);
    await writeFile(join(empty, "llama-quantize"), "not executable");
    await expect(openEngine({ threads: 1, llamaDir: empty })).rejects.toThrow(/llama-quantize was not found/);
    await rm(empty, { recursive: true });
  });

  it("give a plain run's perplexity", async () => {
    const engine = await openFakes("", prints(FINAL_ESTIMATE));
    expect(await programsOf(engine).perplexity(plainJob)).toEqual({ chunks: 4, ppl: { value: 66.5269, se: 17.12289 } });
    const [args] = await recordedCalls();
    expect(args?.join(" ")).toBe(
      "-m m.gguf -t 3 -ngl 0 -c 64 --override-kv tokenizer.ggml.add_eos_token=bool:false -f t.txt --chunks 4",
    );
  });

  it("compare with a logits file in its own context, whatever is printed to which stream", async () => {
    const engine = await openFakes("", `process.stderr.write(${JSON.stringify(KL_DIVERGENCE)});`);
    expect((await programsOf(engine).perplexity(kldJob())).kld?.mean).toBe(0.019801);
    const [args = []] = await recordedCalls();
    expect(args.slice(6, 8)).toEqual(["-c", "64"]);
    expect(args.slice(-3)).toEqual(["--kl-divergence-base", logits, "--kl-divergence"]);
  });

  it("are run again when the end of the output was lost", async () => {
    const cut = KL_DIVERGENCE.slice(0, KL_DIVERGENCE.indexOf("99.0%"));
    const engine = await openFakes("", `if (call < 3) { ${prints(cut)} } else { ${prints(KL_DIVERGENCE)} }`);
    expect((await programsOf(engine).perplexity(kldJob())).sameTop).toBe(85.484);
    expect(await recordedCalls()).toHaveLength(3);
  });

  it("fail with their last lines when they never print a result though they exit with 0", async () => {
    const engine = await openFakes("", prints("one\n\ntwo\n"));
    const failed = programsOf(engine).perplexity(plainJob);
    await expect(failed).rejects.toBeInstanceOf(EngineError);
    await expect(failed).rejects.toThrow(
      /gave no result \(exit code 0\)\nlast lines of the engine:\n {2}one\n {2}two$/,
    );
    expect((await recordedCalls()).length).toBeGreaterThan(2);
  });

  it("are not run again after an error, a signal or an exit code", async () => {
    for (const [body, message] of [
      ["console.error('0.00.055.641 E kl_divergence : failed to decode');", /failed to decode/],
      ["console.log('error: invalid argument: --nonsense'); process.exitCode = 1;", /exit code 1[\s\S]*--nonsense/],
      ["process.kill(process.pid, 'SIGABRT');", /\(SIGABRT\): it gave up/],
    ] as const) {
      const engine = await openFakes("", body);
      await expect(programsOf(engine).perplexity(kldJob())).rejects.toThrow(message);
      expect(await recordedCalls()).toHaveLength(1);
    }
  });

  it("say what is wrong with the text, the model or the logits", async () => {
    const report = async (printed: string, job = kldJob() as PerplexityJob) => {
      const engine = await openFakes("", prints(printed));
      return programsOf(engine)
        .perplexity(job)
        .catch((error: unknown) => error);
    };
    const engine = await openFakes("", "");
    const short = await report("the data file you provided tokenizes to only 57 tokens", plainJob);
    expect(short).toBeInstanceOf(UsageError);
    expect(short).toMatchObject({ message: expect.stringContaining("t.txt has 57 tokens") });
    expect(await report("inconsistent vocabulary (4096 vs 257)")).toMatchObject({
      message: expect.stringMatching(/m\.gguf: its vocabulary has 257 tokens, the reference's 4096/),
    });
    expect(await report("[1]nan,[2]nan,", plainJob)).toBeInstanceOf(FormatError);
    await expect(programsOf(engine).perplexity({ ...kldJob(), logits: join(dir, "calls") })).rejects.toThrow(/calls: /);
    expect(await report("", { model: "m", threads: 1, gpuLayers: 0 })).toBeInstanceOf(UsageError);
  });

  it("are killed on abort", async () => {
    const engine = await openFakes("", "setTimeout(() => {}, 60000);");
    const controller = new AbortController();
    setTimeout(() => controller.abort(), 200);
    await expect(programsOf(engine).perplexity({ ...plainJob, signal: controller.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
    await expect(programsOf(engine).perplexity({ ...plainJob, signal: controller.signal })).rejects.toMatchObject({
      name: "AbortError",
    });
  });

  it("quantize with progress, whatever pieces their log arrives in", async () => {
    const line = (done: number, name: string) =>
      `[${done}/2] ${name} - [ 256, 256, 1, 1], type = f16, converting to q4_K .. size = 1 MiB -> 1 MiB\n`;
    const log = `${line(1, "a.weight")}${line(2, "b.weight")}quant size = 1.00 MiB (4.50 BPW)\n`;
    const half = Math.floor(log.length / 3);
    const engine = await openFakes(
      `process.stderr.write(${JSON.stringify(log.slice(0, half))});
       setTimeout(() => process.stderr.write(${JSON.stringify(log.slice(half))}), 50);`,
      "",
    );
    const progress: number[] = [];
    const outcome = await engine.quantize({ ...quantizeJob, onProgress: (done) => progress.push(done) });
    expect(outcome).toEqual({
      tensors: [
        { name: "a.weight", type: "Q4_K" },
        { name: "b.weight", type: "Q4_K" },
      ],
      bpw: 4.5,
    });
    expect(progress).toEqual([1, 2]);
  });

  it("fail to quantize with an exit code, an unknown option or an empty log", async () => {
    const failing = await openFakes("console.error('requires an importance matrix!'); process.exitCode = 1;", "");
    await expect(failing.quantize(quantizeJob)).rejects.toThrow(/exit code 1[\s\S]*importance matrix/);
    const old = await openFakes("console.log('usage: llama-quantize [--help]'); process.exitCode = 1;", "");
    await expect(old.quantize(quantizeJob)).rejects.toThrow(/did not understand its arguments \(--tensor-type\)/);
    const silent = await openFakes("", "");
    await expect(silent.quantize(quantizeJob)).rejects.toThrow(/gave no result/);
  });
});
