import { describe, expect, it } from "vitest";
import { legendHeight } from "../../../src/report/charts/chart.ts";
import { classBytesChart, classShares } from "../../../src/report/charts/class-bytes.ts";
import { densitiesChart } from "../../../src/report/charts/densities.ts";
import { mapChart } from "../../../src/report/charts/map.ts";
import { arrangeMap, availableLayers, mapTensors } from "../../../src/report/charts/model-map.ts";
import { paretoChart, paretoFront } from "../../../src/report/charts/pareto.ts";
import { predictedMeasuredChart } from "../../../src/report/charts/predicted-measured.ts";
import { renderSvg } from "../../../src/report/charts/render-svg.ts";
import { showCell, tableCsv } from "../../../src/report/charts/table.ts";
import { shownLabel } from "../../../src/run/shown-label.ts";
import { runInMemory } from "./run-in-memory.ts";

const { analysis, plan, run } = runInMemory();
const sum = (values: readonly (number | undefined)[]) =>
  values.reduce((total: number, value) => total + (value ?? 0), 0);

describe("paretoChart", () => {
  it("marks the files of which no other is both smaller and better", () => {
    expect(paretoFront(run.rows, "kld").map(({ label }) => label)).toEqual(["all Q3_K", "plan", "all Q4_K"]);
    const chart = paretoChart(run);
    const survivors = chart?.table.rows.filter((row) => row.at(-1) === "yes").map(([label]) => label);
    expect(survivors).toEqual(["plan", "all Q3_K", "all Q4_K"]);
  });

  it("shows every row that was measured, with its name", () => {
    const svg = renderSvg(paretoChart(run, { metric: "kld" }) as NonNullable<ReturnType<typeof paretoChart>>);
    for (const { label, kind } of run.rows) expect(svg.includes(`>${shownLabel(label)}<`)).toBe(kind !== "reference");
  });

  it("lays a ground under every label, over the front and under the marks", () => {
    const series = [paretoChart(run)?.option.series ?? []].flat() as { type: string; z: number; data: unknown[] }[];
    const grounds = series.filter(({ z }) => z > 2 && z < 3);
    expect(grounds.map(({ data }) => data.length)).toEqual([
      run.rows.filter(({ kind }) => kind !== "reference").length,
    ]);
    expect(series.find(({ type }) => type === "line")?.z).toBe(2);
    expect(Math.min(...series.filter(({ type }) => type === "scatter").map(({ z }) => z))).toBeGreaterThan(3);
  });

  it("makes room for a legend of many lines on a phone", () => {
    expect(legendHeight(["a", "b"], 300)).toBe(legendHeight(["a"], 300));
    const names = run.rows.map(() => "the plan for error feedback");
    expect(legendHeight(names, 300)).toBe(names.length * legendHeight(["a"], 300));
  });

  it("takes the error of a perplexity from its ratio to the reference's", () => {
    const [, row] = paretoChart(run, { metric: "ppl" })?.table.rows ?? [];
    expect(row?.slice(4, 6)).toEqual([20.02, 20.02 * 0.0002]);
  });

  it("is not drawn where nothing was measured", () => {
    expect(paretoChart({ rows: run.rows.map(({ kld: _, ppl: __, ...row }) => row) })).toBeUndefined();
    expect(predictedMeasuredChart({ rows: run.rows.slice(0, 2) }, plan)).toBeUndefined();
  });
});

describe("classBytesChart", () => {
  it("accounts for every byte and all of the loss", () => {
    const shares = classShares(plan);
    expect(sum(shares.map(({ bytes }) => bytes))).toBe(plan.predicted.tensorBytes);
    expect(sum(shares.map(({ lossShare }) => lossShare))).toBeCloseTo(1, 12);
    expect(classBytesChart(plan).table.rows).toHaveLength(shares.length);
  });
});

describe("densitiesChart", () => {
  const densities = ["blk.0.attn_v.weight", "blk.1.attn_v.weight", "output.weight"].map((name, index) => ({
    name,
    class: name.startsWith("blk") ? "attn_v" : "output",
    ...(name.startsWith("blk") ? { layer: index } : {}),
    density: 1e-7 * 10 ** index,
    sd: 0.1 * (index + 1),
    alone: index === 2,
  }));

  it("shows every tensor in the band of its class, with what is known of it, and what is still to save", () => {
    const chart = densitiesChart({ densities, regret: 0.031 });
    expect(chart?.table.rows.map((row) => [row[0], row.at(-1)])).toEqual([
      ["blk.0.attn_v.weight", "inferred"],
      ["blk.1.attn_v.weight", "inferred"],
      ["output.weight", "alone"],
    ]);
    expect(chart?.description).toContain("would save about 3.1 % of the loss");
    const svg = renderSvg(chart as NonNullable<typeof chart>);
    for (const text of ["attn_v", "output", "probed alone", "inferred"]) expect(svg).toContain(`>${text}<`);
  });

  it("is not drawn of a run of before there were any, or that found none", () => {
    expect(densitiesChart({})).toBeUndefined();
    expect(densitiesChart({ densities: densities.map((one) => ({ ...one, density: 0 })) })).toBeUndefined();
  });
});

describe("mapChart", () => {
  const tensors = mapTensors(plan, analysis);

  it("has a cell for every tensor that can be quantized, those of no layer beside the layers", () => {
    const map = arrangeMap(tensors);
    const cells = map.rows.flatMap((row) => row.cells.filter((cell) => cell !== undefined));
    expect(cells.length + map.others.length).toBe(plan.tensors.filter(({ reason }) => reason !== "ineligible").length);
    expect(map.layers).toEqual([0, 1, 2, 3]);
    expect(map.others.map(({ name }) => name)).toEqual(["token_embd.weight", "output.weight"]);
  });

  it("makes columns of the layers that occur, whatever their numbers", () => {
    const [tensor] = tensors.filter(({ layer }) => layer !== undefined);
    if (tensor === undefined) throw new Error("no tensor has a layer");
    const map = arrangeMap([tensor, { ...tensor, layer: 1e9 }, { ...tensor, name: "twin" }]);
    expect(map.layers).toEqual([tensor.layer, 1e9]);
    expect(map.rows).toHaveLength(2);
  });

  it("offers the layers that have values, each with a picture and its table", () => {
    const layers = availableLayers(tensors);
    expect(layers.map(({ key }) => key)).toEqual(["type", "byteShare", "lossShare", "sensitivity", "distortion"]);
    for (const { key } of layers) {
      const chart = mapChart(tensors, { layer: key });
      expect(chart.table.rows).toHaveLength(tensors.length);
      expect(renderSvg(chart)).toContain("<svg");
    }
  });
});

describe("names from a stranger's file", () => {
  const hostile = `blk.0.<script>"'&\u202e${"x".repeat(10_000)}.weight`;

  it("appear as text, clipped, in every picture", () => {
    const named = { ...plan, tensors: plan.tensors.map((tensor) => ({ ...tensor, class: hostile, name: hostile })) };
    const charts = [
      classBytesChart(named),
      mapChart(mapTensors(named)),
      paretoChart({ rows: run.rows.map((row) => ({ ...row, label: hostile })) }),
    ];
    for (const chart of charts) {
      const svg = chart === undefined ? "" : renderSvg(chart);
      expect(svg).toContain("&lt;script&gt;");
      expect(svg).not.toMatch(/<script|\u202e|x{100}/);
    }
  });

  it("are text in CSV too, never a formula", () => {
    const csv = tableCsv({
      columns: [{ header: "a" }, { header: "b" }],
      rows: [
        ['=1+"2"', -3],
        [undefined, 0.1],
      ],
    });
    expect(csv).toBe('a,b\r\n"\'=1+""2""",-3\r\n,0.1\r\n');
  });

  it("are clipped in tables", () => {
    expect(showCell({ header: "name" }, hostile).length).toBeLessThanOrEqual(201);
  });
});
