/** What --exact=distortion costs beside the bare round trips of the same rows and types. Used by bench/analysis.ts. */
import { analyze } from "../src/analyze/analyze.ts";
import { JOB_BYTES } from "../src/analyze/band-sums.ts";
import type { Bench } from "../src/bench.ts";
import { requireLibrary } from "../src/engine/engine.ts";
import { candidateTypes } from "../src/ggml/candidates.ts";
import { ineligibleReason } from "../src/ggml/eligibility.ts";
import { tensorClass } from "../src/ggml/tensor-class.ts";
import { rowBytes } from "../src/ggml/tensor-types.ts";
import type { ModelFile, OpenModel, TensorInfo } from "../src/gguf/model.ts";
import { openLocalModel } from "../src/gguf/open.ts";
import { openBench } from "../src/open-bench.ts";
import { createWorkQueue } from "../src/work-queue.ts";
import { observe, type Usage } from "./processes.ts";

/** Time both on the tensors of the first `layers` layers; the processes of the engine only, in which all of it is done. */
export async function exactDistortionCost(
  path: string,
  threads: number,
  layers: number,
): Promise<{ analysis: Usage; roundTrips: Usage }> {
  const file = await openLocalModel(path);
  const tensors = file.model.tensors.filter(
    (tensor) => (tensorClass(tensor.name).layer ?? layers) < layers && ineligibleReason(tensor) === undefined,
  );
  const part: OpenModel = {
    ...file,
    model: { ...file.model, tensors },
    facts: file.facts,
    read: (...range) => file.read(...range),
    change: () => file.change(),
  };
  try {
    const roundTrips = await withBench(threads, (bench) => roundTripAll(part, bench));
    const analysis = await withBench(threads, (bench) => analyze(part, { exactDistortion: true }, bench));
    return { analysis, roundTrips };
  } finally {
    await file.close();
  }
}

async function withBench(threads: number, work: (bench: Bench) => Promise<unknown>): Promise<Usage> {
  const bench = await openBench({ threads, backend: "native" });
  try {
    return (await observe(() => work(bench))).usage;
  } finally {
    await bench.close();
  }
}

async function roundTripAll(file: ModelFile, { engine, threads }: Bench): Promise<void> {
  const library = requireLibrary(engine);
  const queue = createWorkQueue(threads);
  const jobs = file.model.tensors.flatMap((tensor) => pieces(tensor).map((piece) => ({ tensor, ...piece })));
  await Promise.all(
    jobs.map(({ tensor, start, bytes }) =>
      queue.run(async () =>
        library.roundTrip({
          sourceType: tensor.type,
          rowElements: tensor.shape[0] ?? 1,
          data: await file.read(tensor, start, bytes),
          bandRows: bytes,
          types: candidateTypes(tensor, { importance: false }).filter((type) => type !== tensor.type),
        }),
      ),
    ),
  );
}

function pieces(tensor: TensorInfo): { start: number; bytes: number }[] {
  const row = rowBytes(tensor.type, tensor.shape[0] ?? 1);
  const size = Math.max(1, Math.floor(JOB_BYTES / row)) * row;
  return Array.from({ length: Math.ceil(tensor.bytes / size) }, (_, index) => ({
    start: index * size,
    bytes: Math.min(size, tensor.bytes - index * size),
  }));
}
