import { describe, expect, it } from "vitest";
import { parse } from "yaml";
import type { MetadataValue } from "../../../src/gguf/model.ts";
import { type CardModel, cardName, publishedRow } from "../../../src/report/card/card-model.ts";
import { readHubMetadata } from "../../../src/report/card/hub-metadata.ts";
import { code, text } from "../../../src/report/card/markdown.ts";
import { publishedSizes } from "../../../src/report/card/member-run.ts";
import { renderCard } from "../../../src/report/card/render-card.ts";
import { familyParetoChart } from "../../../src/report/charts/family-pareto.ts";
import { renderSvg } from "../../../src/report/charts/render-svg.ts";
import { formatMeanSe } from "../../../src/report/terminal/mean-se.ts";
import type { RunRow } from "../../../src/run/run-document.ts";
import { judgeRun } from "../../../src/run/run-rows.ts";
import { shownLabel } from "../../../src/run/shown-label.ts";
import { familyInMemory } from "../charts/family-in-memory.ts";
import { runInMemory } from "../charts/run-in-memory.ts";

const { plan, run } = runInMemory();
const metadataOf = (entries: Readonly<Record<string, MetadataValue>>) =>
  readHubMetadata(new Map(Object.entries(entries)));

const model: CardModel = {
  run,
  plan: { ...plan, source: { ...plan.source, path: "/home/somebody/models/tiny-f16.gguf" } },
  files: [
    { path: "models/plan.gguf", fileBytes: 1_234_567, sha256: "ef".repeat(32), publishAs: "tiny.gguf", kind: "model" },
  ],
  metadata: metadataOf({
    "general.license": "apache-2.0",
    "general.base_model.count": 1,
    "general.base_model.0.repo_url": "https://huggingface.co/Some/Base-1B",
    "general.languages": ["en", "de"],
    "general.tags": ["text-generation", "books"],
  }),
};

const head = (card: string) => parse(card.split(/^---$/m)[1] ?? "") as Record<string, unknown>;
const rowOf = (card: string, method: string) =>
  card
    .split("\n")
    .find((line) => line.includes(`| ${method} |`))
    ?.split(" | ")
    .map((cell) => cell.replace(/^\| |\*\*| \|$/g, ""));

describe("the head of a card", () => {
  it("parses as YAML with what source and publisher say", () => {
    expect(head(renderCard([model], undefined, { quantizedBy: "me" }))).toEqual({
      base_model: ["Some/Base-1B"],
      base_model_relation: "quantized",
      license: "apache-2.0",
      language: ["en", "de"],
      pipeline_tag: "text-generation",
      quantized_by: "me",
      tags: ["gguf", "quantized", "prism", "books"],
    });
  });

  it("says nothing that nobody said, and what the publisher says before the source", () => {
    const { metadata: _, ...unknown } = model;
    expect(head(renderCard([unknown]))).toEqual({
      pipeline_tag: "text-generation",
      tags: ["gguf", "quantized", "prism"],
    });
    const said = head(renderCard([model], undefined, { baseModel: "A/B", license: "mit" }));
    expect(said).toMatchObject({ base_model: ["A/B"], license: "mit" });
  });

  it("names the source itself before what the source was made from", () => {
    const { baseModels } = metadataOf({
      "general.repo_url": "https://huggingface.co/Own/Model/",
      "general.base_model.0.repo_url": "https://huggingface.co/Other/Base",
    });
    expect(baseModels).toEqual(["Own/Model"]);
  });

  it("keeps text that YAML would read as something else, and drops what is no value of its kind", () => {
    const metadata = metadataOf({
      "general.license": "---\nevil: true",
      "general.license.name": 'no: "yes"\n---\nx: 1',
      "general.license.link": "javascript:alert(1)",
      "general.tags": ["no", "null", "1e3", "- a: b", "a\nb", "x".repeat(9999), "ok"],
      "general.languages": ["en", "no", "{{"],
      "general.base_model.0.repo_url": "https://huggingface.co/../../x",
    });
    const parsed = head(renderCard([{ ...model, metadata }], undefined, { quantizedBy: "*yes: [" }));
    expect(parsed).toEqual({
      license: "other",
      license_name: 'no: "yes"?---?x: 1',
      language: ["en", "no"],
      pipeline_tag: "text-generation",
      quantized_by: "*yes: [",
      tags: ["gguf", "quantized", "prism", "no", "null", "1e3", "ok"],
    });
  });
});

describe("the results", () => {
  it("are the run's numbers, each row once", () => {
    const card = renderCard([model]);
    for (const row of run.rows.filter(({ kind }) => kind !== "reference")) {
      const cells = rowOf(card, row.kind === "plan" ? "**PRISM**" : shownLabel(row.label)) ?? [];
      expect(cells.slice(2, 5)).toEqual([
        row.bpw.toFixed(3),
        row.ppl && formatMeanSe(row.ppl),
        row.kld && formatMeanSe({ value: row.kld.mean, se: row.kld.se }),
      ]);
    }
    expect(card).toContain("The plan beats Q3_K_M");
    expect(card).toContain(`\`${"ef".repeat(32)}\``);
    expect(card).toContain("1,234,567 bytes");
  });

  it("of a losing run claim nothing", () => {
    const rows = run.rows.map((row): RunRow => {
      if (row.kind !== "plan" || row.kld === undefined) return row;
      const worse = (value: number) => 3 * value;
      return { ...row, kld: { ...row.kld, mean: worse(row.kld.mean) }, kldPerChunk: row.kldPerChunk?.map(worse) ?? [] };
    });
    const card = renderCard([{ ...model, run: judgeRun({ ...run, rows }, [], true) }]);
    expect(card).toContain("The plan loses to");
    expect(rowOf(card, "Q3_K_M")?.at(-1)).toMatch(/^plan loses/);
    expect(card).not.toMatch(/beats|better than|wins|state.of.the.art|best (?!document)/i);
  });

  it("of an unfinished run say so, without numbers that are not there", () => {
    const { verdict: _, ...unjudged } = run;
    const rows = run.rows.map(({ ppl: _p, kld: _k, sameTop: _s, verdict: _v, kldMinusPlan: _d, ...row }) => row);
    const card = renderCard([{ ...model, run: { ...unjudged, rows } }]);
    expect(card).toContain("No verdict");
    expect(card).not.toMatch(/KLD|PPL|undefined|NaN/);
  });

  it("of a reranker are those of its ranking", () => {
    const rerank = {
      meanAbsDelta: { value: 0.02, se: 0.001 },
      maxAbsDelta: 0.1,
      top1Agreement: 95,
      moved: 3,
      perQuery: [],
    };
    const rows = run.rows.map(({ ppl: _p, kld: _k, sameTop: _s, kldMinusPlan: _d, ...row }) =>
      row.kind === "reference" ? row : { ...row, rerank },
    );
    const { metadata: _, ...unknown } = model;
    const card = renderCard([{ ...unknown, run: { ...run, rows } }]);
    expect(head(card).pipeline_tag).toBe("text-ranking");
    expect(rowOf(card, "Q3_K_M")?.slice(3, 5)).toEqual(["0.0200 ± 0.0010", "95.0 %"]);
    expect(card).not.toMatch(/PPL|llama-cli/);
    expect(card).toContain("prism serve");
  });
});

describe("a card", () => {
  it("has the points of a sweep as plans of other sizes, and the plan's own size once", () => {
    const [, own] = run.rows;
    if (own === undefined) throw new Error("no plan");
    const point = (label: string, fileBytes: number) => {
      const { kind: _, verdict: __, kldPerChunk: ___, ...measured } = own;
      return { ...measured, label, fileBytes, budget: "--bpw 3", plan: "plans/point.json" };
    };
    const points = [point("plan 3.0000", 2e6), point("plan 4.1000", own.fileBytes)];
    const card = renderCard([{ ...model, run: { ...run, sweep: { points, survivors: [] } } }]);
    expect(rowOf(card, "plan 3.0000")).toContain("2.00 MB");
    expect(card).not.toContain("plan 4.1000");
    expect(card.match(/\*\*PRISM\*\*/g)).toHaveLength(1);
    const chart = familyParetoChart([{ name: "Swept", run: { rows: run.rows, sweep: { points, survivors: [] } } }]);
    expect(chart?.table.rows.filter((row) => row[1] === "PRISM")).toHaveLength(2);
  });

  it("says that llama-quantize does not make a file with error feedback", () => {
    expect(renderCard([model])).toContain("Stock `llama-quantize` makes it from the source:");
    const row = run.rows.find(({ kind }) => kind === "plan") as RunRow;
    const kld = { ...(row.kld as NonNullable<RunRow["kld"]>), mean: 0.5 * (row.kld?.mean ?? 0) };
    const rows: RunRow[] = [...run.rows, { ...row, kind: "feedback", label: "plan, error feedback", kld }];
    const asked = { ...run.asked, feedback: `own ${"ab".repeat(32)}` };
    const card = renderCard([{ ...model, run: { ...run, asked, rows } }]);
    expect(card).toContain("makes the row PRISM from the source; codes with error feedback are made by PRISM alone");
    expect(card).toMatch(
      /calibrated on text that the model writes and text given \(SHA-256 `(ab){32}`\), in types planned/,
    );
  });

  it("tells nothing of its maker's folders", () => {
    const card = renderCard([model]);
    expect(card).not.toContain("/home/somebody");
    expect(card).toContain("in='tiny-f16.gguf'");
  });

  it("names the importance matrix as it is published", () => {
    const imatrix = {
      path: "/home/somebody/im.gguf",
      sha256: "ab".repeat(32),
      file: "im.gguf",
      chunks: 1,
      dataset: "",
      entries: 1,
    };
    const published = {
      path: "im.gguf",
      fileBytes: 9,
      sha256: "ab".repeat(32),
      publishAs: "imatrix.gguf",
      kind: "imatrix" as const,
    };
    const card = renderCard([{ ...model, plan: { ...model.plan, imatrix }, files: [...model.files, published] }]);
    expect(card).toContain("Importance matrix: `imatrix.gguf`");
    expect(card).toContain("--imatrix 'imatrix.gguf'");
    expect(card).not.toContain("im.gguf`");
  });

  it("holds hostile names as text", () => {
    const name = "</details>`|](https://evil.example) <script>\n# x\u202e";
    const rows = run.rows.map((row) => (row.kind === "preset" ? { ...row, label: name } : row));
    const card = renderCard([
      { ...model, run: { ...run, rows, verdict: name }, plan: { ...plan, source: { ...plan.source, name } } },
    ]);
    const outside = card.replace(/^```sh[\s\S]*?^```$/gm, "");
    expect(outside).not.toMatch(/<script|<\/details|(?<!\\)\]\(http|https?:|\u202e|^# x/m);
    expect(outside).not.toMatch(/(?<!\\)\|\]/);
    expect(card.split("\n").filter((line) => line.startsWith("# "))).toHaveLength(1 + scriptComments(card));
  });

  it("of a family is one table with the rows of each model, and one picture", () => {
    const other = { ...model, plan: { ...plan, source: { ...plan.source, name: "Other" } } };
    const card = renderCard([model, other], { file: "pareto.png", title: "t", description: "d" });
    const [open = "", folded = ""] = card.split("Verdicts in full, and the controls");
    expect(open.match(/^\| Model \| Method \|/gm)).toHaveLength(1);
    expect(open.match(/^\| Model \| File \|/gm)).toHaveLength(1);
    expect(open.match(/\*\*PRISM\*\*/g)).toHaveLength(2);
    expect(card.match(/!\[/g)).toHaveLength(1);
    expect(open).not.toContain("| shuffled plan 1 |");
    expect(folded).toContain("| shuffled plan 1 |");
    expect(card.match(/<details>/g)).toHaveLength(3);
    expect(card).toContain("Quantizations of 2 models");
  });

  it("of several files of one model has its name, source, presets and facts once, and each file's line of usage", () => {
    const family = familyInMemory();
    const models = publishedSizes(family.run).map(({ run, slug }, index): CardModel => {
      const bpw = publishedRow(run)?.bpw.toFixed(2);
      const [file] = model.files;
      const publishAs = `tiny-${bpw}bpw-Q${index + 2}_K.gguf`;
      return { ...model, run, files: file ? [{ ...file, path: `${slug}`, publishAs, tag: `Q${index + 2}_K` }] : [] };
    });
    const card = renderCard(models, undefined, { repository: "me/Tiny" });
    const name = cardName(model);
    expect(card).toContain(`# ${name}: PRISM`);
    expect(card).toContain(`3 quantizations of ${name}`);
    const [open = "", folded = ""] = card.split("Verdicts in full, and the controls");
    const [choose = "", results = ""] = open.split("## Results");
    expect(choose).toMatch(
      /^\| `tiny-\d\.\d+bpw-Q2_K\.gguf` \| .*Q3\\?_K\\?_M is larger and better \(KLD \+25 %\) \|$/m,
    );
    expect(results.match(/^\| source /gm)).toHaveLength(1);
    for (const label of ["Q3_K_M", "Q3_K_L", "all Q3_K"]) {
      expect(results.match(new RegExp(`^\\| ${label} \\|`, "gm")), label).toHaveLength(1);
    }
    expect(results.match(/^\| \*\*PRISM \d\.\d\dbpw(, error feedback)?\*\* \|/gm)).toHaveLength(3);
    expect(results).not.toContain("shuffle");
    expect(folded).toContain("| shuffled plan 1 of ");
    expect(card.match(/^- Source: /gm)).toHaveLength(1);
    for (const tag of ["Q2_K", "Q3_K", "Q4_K"]) expect(card).toContain(`\`llama-server -hf me/Tiny:${tag}\``);
    expect(card).not.toMatch(/undefined|NaN/);
  });

  it("says what each file takes of a GPU's memory where that is known", () => {
    const memory = [{ context: 8192, totalBytes: 3.25 * 2 ** 30 }];
    const card = renderCard([
      { ...model, memory },
      { ...model, plan: { ...plan, source: { ...plan.source, name: "Other" } } },
    ]);
    expect(card).toContain("| GPU memory at 8k |");
    expect(card.match(/\| 3\.3 GiB \|/g)).toHaveLength(1);
  });
});

function scriptComments(card: string): number {
  const scripts = card.match(/^```sh[\s\S]*?^```$/gm) ?? [];
  return scripts
    .join("\n")
    .split("\n")
    .filter((line) => line.startsWith("# ")).length;
}

describe("familyParetoChart", () => {
  it("names each model at its plan, joins each front, and leaves inner controls out", () => {
    const larger = run.rows.map((row) => ({ ...row, fileBytes: 10 * row.fileBytes }));
    const chart = familyParetoChart([
      { name: "Small", run },
      { name: "Large", run: { rows: larger } },
    ]);
    if (chart === undefined) throw new Error("no chart");
    const svg = renderSvg(chart);
    for (const name of ["Small", "Large"]) expect(svg).toContain(`>${name}<`);
    expect(svg).not.toContain("shuffle");
    expect(chart.table.rows.filter((row) => row[1] === "PRISM").map(([name]) => name)).toEqual(["Small", "Large"]);
    expect(chart.table.rows.filter((row) => row.at(-1) === "yes")).toHaveLength(6);
  });
});

describe("Markdown from documents", () => {
  it("can't mark anything up or link anywhere", () => {
    expect(text("a_b [x](y) <i> `c` | www.x.y me@x.y http://x")).toBe(
      "a_b \\[x\\](y) &lt;i&gt; \\`c\\` \\| www&#46;x.y me&#64;x.y http&#58;//x",
    );
    expect(code("a``b|c")).toBe("``` a``b¦c ```");
  });
});
