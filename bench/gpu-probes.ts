/** Probes in place on a GPU, against quantized files on it and against probes in place on the processor: figures and time. */
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { analyze } from "../src/analyze/analyze.ts";
import { type Bench, DEFAULT_LOGITS_LIMIT_BYTES, SILENT } from "../src/bench.ts";
import { meanSe } from "../src/evaluate/statistics.ts";
import { isHead } from "../src/ggml/tensor-class.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { referenceBackend } from "../src/kernels/reference.ts";
import { openFileSite } from "../src/probes/file-site.ts";
import { probeParts } from "../src/probes/probe-group.ts";
import { type OpenSite, openProbeSite, type ProbeSiteRequest, type ProbeTypes } from "../src/probes/probe-site.ts";
import { CONTEXT, layersOf, type Place, type SIDES, sampleOnProcessor } from "./gpu-evaluation.ts";

interface Measured {
  readonly kld: Float64Array;
  readonly seconds: number;
}

export async function measureProbes(place: Place, chunks: number): Promise<Record<string, unknown>> {
  const { model, folder, engines } = place;
  const source = await openLocalModel(model);
  const probes = await sampleOnProcessor(place, chunks);
  const benchOf = (side: (typeof SIDES)[number]): Bench => ({
    engine: engines[side],
    backend: async () => referenceBackend(),
    threads: engines.threads,
    gpuLayers: layersOf(side),
    seed: 0,
    memoryBytes: 2 ** 30,
    cache: { dir: join(folder, side), logitsLimitBytes: DEFAULT_LOGITS_LIMIT_BYTES },
    signal: new AbortController().signal,
    progress: { ...SILENT, note: console.log },
  });
  const analysis = await analyze(source, {}, benchOf("processor"));
  const eligible = analysis.tensors.filter((tensor) => tensor.eligible);
  const groups = [
    eligible.filter(({ name }) => isHead(name, analysis.facts)),
    eligible.filter((tensor) => tensor.class === "ffn_down"),
    eligible.filter((tensor) => tensor.class === "attn_v").slice(0, 1),
  ].filter((group) => group.length > 0);
  const requestIn = (name: string): ProbeSiteRequest => ({
    analysis,
    context: CONTEXT,
    scratch: join(folder, name),
    textOf: async () => ({ probes, trial: probes, source: "sampled" }),
  });
  const measureAt = async (site: OpenSite): Promise<Measured[]> => {
    const measured: Measured[] = [];
    for (const group of groups) {
      const types: ProbeTypes = new Map(probeParts(group).map(({ tensor, type }) => [tensor.name, type]));
      const started = performance.now();
      const reference = await site.refer(probes);
      const kld = await site.degrade(types, (loaded) => reference.measure(loaded, { first: 0, count: chunks }));
      measured.push({ kld, seconds: (performance.now() - started) / 1e3 });
    }
    await site.close();
    return measured;
  };
  const site = await openProbeSite(source, requestIn("gpu-site"), benchOf("gpu"));
  if (site.kind !== "in-place") throw new Error("the GPU is not probed in place");
  const inPlace = await measureAt(site);
  const written = await readdir(join(folder, "gpu-site"));
  const asFiles = await measureAt(await openFileSite(source, requestIn("gpu-files"), benchOf("gpu")));
  const onProcessor = await measureAt(await openProbeSite(source, requestIn("site"), benchOf("processor")));
  await source.close();

  console.log(`probes in Q3_K, ${chunks} chunks of ${CONTEXT}, on ${engines.gpu.info.devices[0]}`);
  console.log(`written beside the model: ${written.join(", ")}\n`);
  console.log(
    "| group | KLD in place | file / in place | processor / in place | seconds in place | file | processor |",
  );
  console.log("|---|---|---|---|---|---|---|");
  const rows = groups.map((group, at) => {
    const [own, file, cpu] = [inPlace[at], asFiles[at], onProcessor[at]] as [Measured, Measured, Measured];
    const name = group.length === 1 ? (group[0]?.name as string) : (group[0]?.class as string);
    const row = {
      group: name,
      kld: meanSe(own.kld),
      file: ratio(file.kld, own.kld),
      processor: ratio(cpu.kld, own.kld),
    };
    const seconds = [own, file, cpu].map((measured) => measured.seconds);
    const figures = [row.kld.value.toPrecision(4), percent(row.file), percent(row.processor)];
    console.log(`| ${[name, ...figures, ...seconds.map((value) => value.toFixed(1))].join(" | ")} |`);
    return { ...row, seconds };
  });
  console.log("");
  return { chunks, context: CONTEXT, written, rows };
}

/** Mean of one over mean of the other, with the standard error of their paired difference. */
function ratio(values: Float64Array, own: Float64Array): { value: number; se: number } {
  const base = meanSe(own).value;
  const { value, se } = meanSe(values.map((x, at) => x - (own[at] as number)));
  return { value: 1 + value / base, se: se / base };
}

function percent({ value, se }: { value: number; se: number }): string {
  return `${value.toFixed(4)} ± ${se.toFixed(4)}`;
}
