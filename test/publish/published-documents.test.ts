import { describe, expect, it } from "vitest";
import { readPlan } from "../../src/plan/read-plan.ts";
import { checksums, publishedDensities, publishedPlan, publishedRun } from "../../src/publish/published-documents.ts";
import { withoutFoldersIn } from "../../src/publish/without-folders.ts";
import { parseRun } from "../../src/run/run-state.ts";
import { parseDensities } from "../../src/sensitivity/density-document.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";

const { plan, run } = runInMemory();
const SECRET = "/home/some body/models";
const imatrix = {
  path: `${SECRET}/calibrated.gguf`,
  sha256: "ab".repeat(32),
  file: `${SECRET}/calibrated.gguf`,
  dataset: "text",
  entries: 4,
  chunks: 3,
};
const source = { ...plan.source, path: `${SECRET}/tiny-f16.gguf`, shards: [`${SECRET}/tiny-f16.gguf`] };
const warnings = [`not read: ${SECRET}/calibrated.gguf (see https://example.org/a/b)`];
const local = { ...plan, source, imatrix, warnings };

describe("a published plan", () => {
  it("is a plan, without the folders of its machine", () => {
    const text = publishedPlan(local, "imatrix.gguf");
    expect(text).not.toContain("some body");
    const read = readPlan(text, "plan.json");
    expect(read.imatrix).toMatchObject({ path: "imatrix.gguf", file: "calibrated.gguf", sha256: imatrix.sha256 });
    expect(read.source.path).toBe("tiny-f16.gguf");
    expect(JSON.parse(text).warnings).toEqual(["not read: calibrated.gguf (see https://example.org/a/b)"]);
    // its header has the shorter name, and so has the prediction
    expect(JSON.parse(text).predicted.fileBytes).toBe(read.predicted.fileBytes);
    expect(read.predicted.fileBytes).toBeLessThanOrEqual(plan.predicted.fileBytes + 256);
  });

  it("keeps the strings that its file has, where they name no folder of the machine", () => {
    const relative = { ...local, imatrix: { ...imatrix, file: "prism-run-x/imatrix.gguf" } };
    expect(readPlan(publishedPlan(relative), "p").imatrix?.file).toBe("prism-run-x/imatrix.gguf");
  });

  it("has types and bytes as they were", () => {
    const read = readPlan(publishedPlan(plan), "plan.json");
    expect(read.predicted.fileBytes).toBe(plan.predicted.fileBytes);
    expect(read.tensors.map(({ type }) => type)).toEqual(plan.tensors.map(({ type }) => type));
  });
});

describe("a published evaluation", () => {
  const kept = [{ path: "plans/plan.json", fileBytes: 1, sha256: "ab".repeat(32) }];
  const asked = { ...run.asked, model: source.path, devices: ["CPU: AMD EPYC"] };
  const text = {
    ...(run.text ?? { sha256: "ab".repeat(32), context: 256, chunks: 40, tokens: 9 }),
    source: "file" as const,
    path: `${SECRET}/my text.txt`,
  };
  const published = publishedRun({ ...run, asked, text, kept, seal: "0", warnings });

  it("is a run that can be read, with every figure and nothing of its machine", () => {
    expect(published).not.toMatch(/some body|EPYC|kldPerChunk/);
    const read = parseRun(published, "state.json");
    expect(read.rows.map(({ kld }) => kld)).toEqual(run.rows.map(({ kld }) => kld));
    expect(read.verdict).toBe(run.verdict);
    expect(read.text?.path).toBe("my text.txt");
    expect(read.kept).toBeUndefined();
  });
});

it("published densities are densities, without the device that they were probed on", () => {
  const document = {
    schema: "prism.sensitivity/1",
    version: "probes",
    lossUnit: "nats",
    densities: { attn_v: 0.5 },
    devices: ["CPU: AMD EPYC"],
  } as const;
  const text = publishedDensities(document);
  expect(text).not.toContain("EPYC");
  expect(parseDensities("probes.json", text).densities).toEqual({ attn_v: 0.5 });
});

it.each([
  ["read /mnt/a b/c.txt and /srv/d/e.gguf", "read c.txt and e.gguf"],
  ["C:\\Users\\me\\x.gguf; \\\\host\\share\\y", "x.gguf; y"],
  [
    "https://host/a/b, models/x.gguf, 3/4 of ^blk\\.\\d+\\.attn\\.",
    "https://host/a/b, models/x.gguf, 3/4 of ^blk\\.\\d+\\.attn\\.",
  ],
])("takes the folders out of %j", (text, bare) => {
  expect(withoutFoldersIn(text, ["/mnt/a b"])).toBe(bare);
});

it("writes checksums as sha256sum reads them", () => {
  expect(checksums([{ publishAs: "a/b c.gguf", sha256: "ef".repeat(32) }])).toBe(`${"ef".repeat(32)}  a/b c.gguf\n`);
});
