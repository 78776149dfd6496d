import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderCustomQ } from "../../src/plan/custom-q.ts";
import { makePlan, type PlanOptions } from "../../src/plan/make-plan.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { renderRecipe } from "../../src/plan/recipe.ts";
import { renderRecipePs1 } from "../../src/plan/recipe-ps1.ts";
import { renderRecipeSh } from "../../src/plan/recipe-sh.ts";
import { renderTensorTypes } from "../../src/plan/tensor-types.ts";
import { quotePowerShell, quoteSh } from "../../src/shell-quote.ts";
import { type Synthetic, syntheticAnalysis, uniformSensitivity } from "./synthetic-analysis.ts";

function plan(synthetic: Synthetic = {}, options: Partial<PlanOptions> = {}): Plan {
  const analysis = syntheticAnalysis(synthetic);
  return makePlan({
    analysis,
    sensitivity: uniformSensitivity(analysis),
    budget: { kind: "bpw", value: 4 },
    ...options,
  });
}

/** Runs a script with a stand-in for llama-quantize that prints its arguments, one per line, and the file named by
 * --tensor-type-file. */
function argumentsOf(script: string, args: readonly string[] = []): string[] {
  const folder = mkdtempSync(join(tmpdir(), "prism-recipe-"));
  try {
    const program = join(folder, "quantize");
    const echo = '#!/bin/sh\nf=0\nfor a in "$@"; do printf "%s\\n" "$a"; if [ "$f" = 1 ]; then cat "$a"; f=0; fi\n';
    writeFileSync(program, `${echo}if [ "$a" = --tensor-type-file ]; then f=1; fi; done\n`, { mode: 0o755 });
    const path = join(folder, "recipe.sh");
    writeFileSync(path, script);
    const env = { ...process.env, LLAMA_QUANTIZE: program, LLAMA_PERPLEXITY: program };
    return execFileSync("sh", [path, ...args], { encoding: "utf8", env, cwd: folder })
      .trimEnd()
      .split("\n");
  } finally {
    rmSync(folder, { recursive: true });
  }
}

describe("recipe.sh", () => {
  it("passes every override as one flag, then input, output, base and threads", () => {
    const made = plan();
    const words = argumentsOf(renderRecipeSh(made));
    const tokens = renderTensorTypes(made).trimEnd().split("\n");
    expect(words).toEqual([
      ...tokens.flatMap((token) => ["--tensor-type", token]),
      "models/tiny-f16.gguf",
      expect.stringMatching(/^Tiny-PRISM-[34]\.\d\dbpw-\w+\.gguf$/),
      made.baseFileType,
      "0",
    ]);
    expect(argumentsOf(renderRecipeSh(made), ["a b.gguf", "c$d.gguf"]).slice(-4, -2)).toEqual(["a b.gguf", "c$d.gguf"]);
  });

  it("goes through a file when the overrides are too long for a command line, with the same tokens", () => {
    const extra = Object.fromEntries(
      Array.from({ length: 3000 }, (_, i) => [`part_${i}_of_many_weights.weight`, [256, 2]]),
    );
    const made = plan({ extra });
    const words = argumentsOf(renderRecipeSh(made));
    const tokens = renderTensorTypes(made).trimEnd().split("\n");
    expect(words[0]).toBe("--tensor-type-file");
    expect(words.slice(2, -4)).toEqual(tokens);
    expect(tokens.length).toBeGreaterThan(3000);
  });

  it("passes the imatrix under the very name the plan counted, and repairs the alignment", () => {
    const words = argumentsOf(renderRecipeSh(plan({ imatrix: true, alignment: 64 })));
    expect(words.slice(0, 4)).toEqual(["--imatrix", "imatrix.gguf", "--override-kv", "general.alignment=int:32"]);
    expect(argumentsOf(renderRecipeSh(plan({ sourceType: "Q8_0" })))[0]).toBe("--allow-requantize");
  });

  it("runs nothing that a hostile name or path says", () => {
    const made = plan({ extra: { "blk.0.$(touch owned)'`id`;\n.weight": [256, 256] } });
    const path = '--it\'s "$(touch owned)"\n; `id`.gguf';
    const hostile = { ...made, source: { ...made.source, path, name: "x\nexit 1\n$(id)" } };
    const words = argumentsOf(renderRecipeSh(hostile)).join("\n");
    expect(words).toContain(`./${path}`);
    expect(words).toContain("^blk\\.0\\...touch.owned...id..[^a-z]\\.weight$=");
  });

  it("names the builds that ignore an override equal to the base type, where the plan has one", () => {
    const all = (type: "Q4_K" | "IQ4_XS"): Plan => ({
      ...plan({}, { constraints: [{ kind: "pin", pattern: ".", type }], budget: { kind: "bpw", value: 5 } }),
      baseFileType: "Q4_K_M",
    });
    expect(renderRecipeSh(all("Q4_K"))).toContain("b8266");
    expect(renderRecipeSh(all("IQ4_XS"))).not.toContain("b8266");
  });
});

describe("recipe.ps1", () => {
  it("hands llama-quantize a file of overrides and quotes everything else", () => {
    const made = plan({ imatrix: true });
    const script = renderRecipePs1(
      { ...made, source: { ...made.source, path: "it's ‘x’ $(1).gguf" } },
      { output: "o'.gguf" },
    );
    expect(script).toContain("[string]$Source = 'it''s ‘‘x’’ $(1).gguf',");
    expect(script).toContain("[string]$Target = 'o''.gguf'");
    expect(script).toContain(`WriteAllText($types, @'\n${renderTensorTypes(made)}'@)`);
    expect(script).toContain(
      `@('--imatrix', 'imatrix.gguf', '--tensor-type-file', $types, $Source, $Target, '${made.baseFileType}', $threads)`,
    );
  });
});

describe("tensor-types.txt and --custom-q", () => {
  it("hold one token per pattern in the same order", () => {
    const made = plan();
    const lines = renderTensorTypes(made).trimEnd().split("\n");
    for (const line of lines) expect(line).toMatch(/^\^[^\s=]+\$=[a-z0-9_]+K?$/);
    expect(renderCustomQ(made).split(",")).toEqual(lines);
  });
});

describe("evaluate.sh", () => {
  it("makes the logits of the reference once, then compares the plan and its baselines", () => {
    const script = renderRecipe(plan(), { baselines: ["Q3_K_M", "Q4_K_S"] })["evaluate.sh"];
    const folder = mkdtempSync(join(tmpdir(), "prism-evaluate-"));
    try {
      const log = join(folder, "log");
      const program = join(folder, "program");
      // creates what the real programs would create: the last word but one or two, or the logits
      const fake = `#!/bin/sh\nprintf '%s ' "$@" >>'${log}'; echo >>'${log}'\nfor a in "$@"; do case $a in *.partial) : >"$a";; esac; done\n`;
      writeFileSync(program, fake, { mode: 0o755 });
      writeFileSync(join(folder, "evaluate.sh"), script);
      writeFileSync(join(folder, "text.txt"), "some text");
      const env = { ...process.env, LLAMA_QUANTIZE: program, LLAMA_PERPLEXITY: program };
      const run = () => execFileSync("sh", ["evaluate.sh", "text.txt", "ref.gguf", "q.gguf"], { cwd: folder, env });
      run();
      run();
      const lines = execFileSync("cat", [log], { encoding: "utf8" }).trimEnd().split("\n");
      expect(
        lines.filter((line) => line.includes("--kl-divergence-base") && line.includes("-f text.txt")),
      ).toHaveLength(1);
      expect(lines.filter((line) => line.startsWith("ref.gguf q.Q"))).toHaveLength(2);
      expect(lines.filter((line) => line.startsWith("-m q.gguf"))).toHaveLength(2);
      expect(lines.filter((line) => line.startsWith("-m q.Q4_K_S.gguf"))).toHaveLength(2);
      expect(lines.every((line) => !line.startsWith("-m") || line.includes("-c 256"))).toBe(true);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});

describe("quoting", () => {
  it("keeps a word one word in sh", () => {
    for (const word of ["", "a b", "'", "''", "$(x) `y` \\", "*?[", "-n", "é\n"]) {
      expect(execFileSync("sh", ["-c", `printf %s ${quoteSh(word)}`], { encoding: "utf8" })).toBe(word);
    }
  });

  it("doubles every character PowerShell takes for a single quote", () => {
    expect(quotePowerShell("a'b’c‘d‚e‛f")).toBe("'a''b’’c‘‘d‚‚e‛‛f'");
  });
});

describe("evaluate.sh of a model that embeds", () => {
  it("asks prism for the drift of the model and of the presets, which it makes", () => {
    const own = plan();
    const script = renderRecipe(
      { ...own, facts: { ...own.facts, embeddingPooling: "mean" } },
      { baselines: ["Q4_K_M"] },
    )["evaluate.sh"];
    const folder = mkdtempSync(join(tmpdir(), "prism-evaluate-"));
    try {
      writeFileSync(join(folder, "prism"), '#!/bin/sh\necho "prism $*" >> calls\n', { mode: 0o755 });
      writeFileSync(join(folder, "quantize"), '#!/bin/sh\necho "quantize $*" >> calls\ncp "$1" "$2"\n', {
        mode: 0o755,
      });
      writeFileSync(join(folder, "evaluate.sh"), script);
      writeFileSync(join(folder, "ref.gguf"), "");
      const env = { ...process.env, PRISM: "./prism", LLAMA_QUANTIZE: "./quantize" };
      execFileSync("sh", ["evaluate.sh", "ref.gguf", "q.gguf"], { cwd: folder, env });
      expect(readFileSync(join(folder, "calls"), "utf8").trim().split("\n")).toEqual([
        "prism evaluate q.gguf --reference ref.gguf",
        "quantize ref.gguf q.Q4_K_M.gguf.partial Q4_K_M",
        "prism evaluate q.Q4_K_M.gguf --reference ref.gguf",
      ]);
    } finally {
      rmSync(folder, { recursive: true });
    }
  });
});
