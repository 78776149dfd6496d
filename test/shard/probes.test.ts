import { copyFile, cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, expect, test, vi } from "vitest";
import { readAnalysis } from "../../src/analyze/analysis-document.ts";
import { readSealed, writeSealed } from "../../src/disk/sealed-file.ts";
import { type OpenedBench, openBench } from "../../src/open-bench.ts";
import { budgetFrom } from "../../src/plan/budget.ts";
import { makePlan } from "../../src/plan/make-plan.ts";
import { probeModel } from "../../src/probes/probe-model.ts";
import { openProbeSite } from "../../src/probes/probe-site.ts";
import type { ProbesDocument } from "../../src/probes/probes-document.ts";
import { createRandom } from "../../src/random.ts";
import { parseDensities, sensitivityFromDensities } from "../../src/sensitivity/density-document.ts";
import { autoSensitivity } from "../../src/sensitivity/sensitivity-modes.ts";
import { openCampaign, readCampaign } from "../../src/shard/campaign.ts";
import { campaignTokens } from "../../src/shard/campaign-tokens.ts";
import { type Part, writePart } from "../../src/shard/parts.ts";
import { knownUnits } from "../../src/shard/rounds.ts";
import { probesOptions } from "../../src/shard/stages/probe-choice.ts";
import { campaignStatus } from "../../src/shard/status.ts";
import { analyzeModel } from "../../src/verbs/analyze.ts";
import { mergeShards, type PlanShardsRequest, planShards, runShard } from "../../src/verbs/shard.ts";
import { startPrism } from "../cli/prism.ts";
import { writeRunnable } from "../fixtures/runnable.ts";
import { emptyStore } from "../probes/synthetic-model.ts";

const silent = () => undefined;
/** Files that a model is loaded from can be written elsewhere only. */
const probing = test.skipIf(process.platform === "win32");

let folder: string;
let bench: OpenedBench;
/** Of several files, of which a worker copies those that it degrades. */
let model: string;
const within = (...names: string[]) => join(folder, ...names);
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "prism-shard-probes-"));
  bench = await openBench({ threads: 2, gpuLayers: 0, cacheDir: "none" });
  model = await writeRunnable("split", folder);
  const random = createRandom(5);
  const words = ["lamp", "river", "old", "seven", "of", "under", "and", "glass", "was", "they"];
  const text = Array.from({ length: 6000 }, () => words[Math.floor(random() * words.length)]).join(" ");
  await writeFile(within("text.txt"), text);
  await writeFile(within("analysis.json"), JSON.stringify(await analyzeModel(model, {}, bench)));
});
afterEach(() => void vi.unstubAllEnvs());
afterAll(async () => {
  await bench.close();
  await rm(folder, { recursive: true, force: true });
});

const planned = (name: string, request: Partial<PlanShardsRequest> = {}) => {
  const asked = { stage: "probes" as const, text: within("text.txt"), context: 32, chunks: 6, probes: 6, round: 3 };
  return planShards(
    model,
    { ...asked, analysis: within("analysis.json"), directory: within(name), jobs: 3, ...request },
    bench,
  );
};
/** The same campaign, not begun. */
const copied = (name: string) => cp(within("one"), within(name), { recursive: true, filter: isPlan });
const isPlan = (path: string) => !/\/(parts|rounds|attempts)\//.test(path);
const run = (name: string, index?: number, threads = 2) => runShard(within(name), index, { ...bench, threads }, 0);
const merged = async (name: string): Promise<string> => {
  const output = within(`${name}.json`);
  await mergeShards(within(name), { output, force: true }, bench);
  return readFile(output, "utf8");
};
const roundsOf = (name: string) => readdir(within(name, "rounds")).then((names) => names.sort());
const unitsOf = async (name: string) => {
  const campaign = await readCampaign(within(name));
  return (await knownUnits({ directory: within(name), campaign }, silent)).units;
};

probing(
  "one worker, three jobs in odd order and workers side by side make the same densities to the byte",
  async () => {
    await planned("one");
    const campaign = await readCampaign(within("one"));
    expect([campaign.jobs, campaign.rounds, campaign.units.map(({ of }) => of)]).toEqual([
      3,
      true,
      [{ from: 0, to: 6 }],
    ]);
    await copied("jobs");
    await copied("free");
    const done = await run("one");
    expect(done).toMatchObject({ failed: [], poisoned: [] });
    expect([done.finished, done.waiting]).toEqual([done.units, undefined]);
    expect(await campaignStatus(within("one"))).toMatchObject({
      isOver: true,
      finished: done.units,
      units: done.units,
    });

    // an index that comes too early is to come again
    expect(await run("jobs", 2)).toMatchObject({ done: 0, waiting: 1 });
    await Promise.all(
      [2, 1, 0].map((index) => runShard(within("jobs"), index, { ...bench, threads: 1 + (index % 2) }, 60)),
    );
    await Promise.all([1, 2].map((threads) => runShard(within("free"), undefined, { ...bench, threads }, 60)));

    const document = await merged("one");
    expect(await merged("jobs")).toBe(document);
    expect(await merged("free")).toBe(document);
    const { probes } = JSON.parse(document) as ProbesDocument;
    expect(probes.length).toBe(6);
    expect(await unitsOf("jobs")).toEqual(await unitsOf("one"));

    const analysis = readAnalysis(await readFile(within("analysis.json"), "utf8"), "analysis.json");
    const sensitivity = sensitivityFromDensities(analysis, parseDensities("probes.json", document));
    const plan = makePlan({ analysis, sensitivity, budget: budgetFrom("like", "Q3_K_M") });
    const stock = makePlan({
      analysis,
      sensitivity: autoSensitivity(analysis),
      budget: budgetFrom("like", "Q3_K_M"),
    });
    expect(plan.tensors.map(({ type }) => type)).not.toEqual(stock.tensors.map(({ type }) => type));
  },
  120_000,
);

probing(
  "a round of one is what one machine measures, probe after probe",
  async () => {
    // chunks of 512 tokens are decoded four at a time
    const { units } = await planned("single", { round: 1, probes: 2, context: 512 });
    expect(units.map(({ of }) => of)).toEqual([
      { from: 0, to: 4 },
      { from: 4, to: 6 },
    ]);
    await run("single");
    const document = JSON.parse(await merged("single")) as ProbesDocument;
    const place = await openCampaign(within("single"), bench);
    try {
      const { campaign, source } = place;
      const options = probesOptions(campaign);
      const { tokens } = await campaignTokens(place, options);
      const analysis = readAnalysis(await readFile(within("analysis.json"), "utf8"), "analysis.json");
      const { context } = options;
      const textOf = async () => ({ probes: tokens, trial: { ...tokens, chunks: 0 }, source: "file" as const });
      const site = await openProbeSite(source, { analysis, context, scratch: within("scratch"), textOf }, bench);
      const budget = { probes: options.probes, chunks: options.decoded };
      const request = { site, store: emptyStore(), analysis, prior: autoSensitivity(analysis), budget };
      const probed = await probeModel(request, bench).finally(() => site.close());
      expect(document.probes).toEqual(probed.measurements);
      for (const { name, density } of probed.densities) {
        expect((document.densities[name] as number) / density).toBeCloseTo(1, 5);
      }
    } finally {
      await place.source.close();
    }
  },
  60_000,
);

/** The parts of some units, by their files. */
async function partFiles(name: string, keys: readonly string[]): Promise<string[]> {
  return (await readdir(within(name, "parts"))).filter((file) => keys.some((key) => file.startsWith(key)));
}

probing(
  "logits that are damaged are made again, and no probe is at fault",
  async () => {
    await cp(within("one"), within("damaged"), { recursive: true });
    const units = await unitsOf("damaged");
    const [logits = ""] = (await readdir(within("damaged/parts"))).filter((name) => name.endsWith(".bin"));
    await writeFile(within("damaged/parts", logits), "short");
    // one probe is to be measured again, which needs them
    const last = units.at(-1)?.key as string;
    for (const file of await partFiles("damaged", [last])) await rm(within("damaged/parts", file));
    await expect(run("damaged")).rejects.toThrow(/its part was taken away.*the same command goes on/);
    expect(await campaignStatus(within("damaged"))).toMatchObject({ lost: 0, poisoned: [] });
    expect((await run("damaged")).done).toBe(2);
    expect(await merged("damaged")).toBe(await merged("one"));
  },
  60_000,
);

probing(
  "a round follows from the parts before it, and goes on where its worker was ended",
  async () => {
    await cp(within("one"), within("cut"), { recursive: true });
    const first = (await unitsOf("cut")).filter(({ of }) => (of as { group?: string }).group !== undefined).slice(0, 3);
    // ended in the middle of the first round of probes
    for (const file of await partFiles(
      "cut",
      first.slice(1).map(({ key }) => key),
    ))
      await rm(within("cut/parts", file));
    for (const round of (await roundsOf("cut")).slice(1)) await rm(within("cut/rounds", round));
    expect(await campaignStatus(within("cut"))).toMatchObject({ round: 1, isOver: false });
    expect((await run("cut")).done).toBe(2);
    expect(await merged("cut")).toBe(await merged("one"));

    // had a probe of the first round answered otherwise, the second would be another
    const [file = ""] = await partFiles("cut", [first[0]?.key as string]);
    const part = await partOf("cut", file);
    const { perChunk } = part.value as { perChunk: { kld: number; se: number }[] };
    const value = { perChunk: perChunk.map(({ kld, se }) => ({ kld: 30 * kld, se })) };
    await rm(within("cut/parts", file));
    await writePart(within("cut"), { ...part, value });
    await expect(run("cut")).rejects.toThrow(/rounds\/0002\.json: was decided by other parts/);
    const before = await readFile(within("cut/rounds/0002.json"), "utf8");
    for (const round of (await roundsOf("cut")).slice(1)) await rm(within("cut/rounds", round));
    await run("cut", 1);
    expect((JSON.parse(before.split("\n")[1] as string) as { units: unknown[] }).units).not.toEqual(
      (
        JSON.parse(
          (await readFile(within("cut/rounds/0002.json"), "utf8")).split("\n")[1] as string,
        ) as typeof value & {
          units: unknown[];
        }
      ).units,
    );
  },
  60_000,
);

probing(
  "what a worker that was killed in the middle of a probe has done counts, and its copies are removed",
  async () => {
    await copied("killed");
    const temporary = within("temporary");
    await mkdir(temporary);
    const { child, outcome } = startPrism(["shard", "run", within("killed"), "--threads", "1", "--quiet"], folder, {
      TMPDIR: temporary,
    });
    const isBusy = async () =>
      (await campaignStatus(within("killed"))).underWay > 0 && (await readdir(within("killed/parts"))).length > 5;
    // held, so that what it is at does not end meanwhile
    for (let held = false; child.exitCode === null && !held; ) {
      while (child.exitCode === null && !(await isBusy())) await sleep(5);
      child.kill("SIGSTOP");
      await sleep(50);
      held = await isBusy();
      if (!held) child.kill("SIGCONT");
    }
    child.kill("SIGKILL");
    const { code, stderr } = await outcome;
    expect([code, stderr, child.signalCode]).toEqual([null, "", "SIGKILL"]);
    expect(await readdir(temporary)).toHaveLength(1);
    const { finished, lost } = await campaignStatus(within("killed"));
    expect(lost).toBe(1);
    // a machine without a place for copies is no fault of a probe
    vi.stubEnv("TMPDIR", join(temporary, "absent"));
    await expect(run("killed")).rejects.toMatchObject({ exitCode: 75 });
    expect((await campaignStatus(within("killed"))).lost).toBe(1);
    vi.stubEnv("TMPDIR", temporary);
    const { done, units } = await run("killed");
    expect(done).toBe(units - finished);
    expect(await readdir(temporary)).toEqual([]);
    expect(await merged("killed")).toBe(await merged("one"));
  },
  60_000,
);

async function partOf(name: string, file: string): Promise<Part> {
  return JSON.parse(((await readSealed(within(name, "parts", file), silent)) as Buffer).toString()) as Part;
}

probing(
  "a round that was changed is refused, and a unit that machines disagree about",
  async () => {
    await cp(within("one"), within("bad"), { recursive: true });
    const path = within("bad/rounds/0002.json");
    const whole = await readFile(path);
    const round = JSON.parse(((await readSealed(path, silent)) as Buffer).toString()) as { units: object[] };
    // units that are left out fit the campaign, and are found out where it is decided anew
    await writeSealed(path, JSON.stringify({ ...round, units: round.units.slice(1) }));
    await expect(merged("bad")).rejects.toThrow(/0002\.json: has other units than follow from the parts/);
    await writeSealed(path, JSON.stringify({ ...round, units: [{ ...round.units[0], of: { from: 0, to: 1 } }] }));
    await expect(run("bad")).rejects.toThrow(/0002\.json: is no round of this campaign \(units\[0\]/);
    await expect(campaignStatus(within("bad"))).rejects.toThrow(/is no round of this campaign/);
    // damage is no lie: it is decided again
    await writeFile(path, whole.subarray(0, -4));
    expect(await merged("bad")).toBe(await merged("one"));
    expect(await readFile(path)).toEqual(whole);

    const [unit] = (await unitsOf("bad")).slice(-1);
    const [file = ""] = await partFiles("bad", [unit?.key as string]);
    const part = await partOf("bad", file);
    const [chunk] = (part.value as { perChunk: { kld: number; se: number }[] }).perChunk;
    await writePart(within("bad"), { ...part, value: { perChunk: [{ ...chunk, kld: 0.5 }] } });
    await expect(merged("bad")).rejects.toMatchObject({ code: "verification" });
    await expect(run("bad")).rejects.toMatchObject({ code: "verification" });
  },
  60_000,
);

probing("what a campaign can't probe is refused before it is planned", async () => {
  await expect(planned("x", { chunks: 5000 })).rejects.toThrow(/--chunks 5000: .* has \d+ chunks/);
  await expect(planned("x", { stage: "analysis" })).rejects.toThrow(
    /is of --stage .*probes.* this is --stage analysis/,
  );
  await expect(planned("x", { head: true })).rejects.toThrow(/--head/);
  await writeFile(within("imatrix.gguf"), "another");
  await expect(planned("x", { imatrix: within("imatrix.gguf") })).rejects.toThrow(
    /was made without an importance matrix/,
  );
  const other = JSON.parse(await readFile(within("analysis.json"), "utf8")) as { model: object };
  await writeFile(
    within("other.json"),
    JSON.stringify({ ...other, model: { ...other.model, headerHash: "0".repeat(64) } }),
  );
  await expect(planned("x", { analysis: within("other.json") })).rejects.toThrow(/analysis of another model/);
  await copied("y");
  await copyFile(within("text.txt"), within("y/inputs/analysis"));
  await expect(run("y")).rejects.toThrow(/was changed since/);
});
