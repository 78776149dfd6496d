/** prism doctor: what works on this machine, tried rather than guessed, and what to do about the rest. */
import { Command } from "commander";
import { buildVision } from "../../engine/build-vision.ts";
import { EngineError, UsageError } from "../../errors.ts";
import { typeSpeeds } from "../../evaluate/type-speeds.ts";
import { PRISM_VERSION } from "../../version.ts";
import type { CommandContext } from "../context.ts";
import { backendChecks } from "../doctor/backend-checks.ts";
import type { Check } from "../doctor/check.ts";
import { renderChecks } from "../doctor/checks-text.ts";
import { engineChecks } from "../doctor/engine-checks.ts";
import { kernelChecks } from "../doctor/kernel-checks.ts";
import { machineChecks } from "../doctor/machine-checks.ts";
import { renderTypes } from "../doctor/types-text.ts";
import { followProgress } from "../follow-progress.ts";
import { addSharedOptions, type SharedOptions } from "../options.ts";
import { openOutput } from "../output.ts";
import { withBench } from "../with-bench.ts";

type DoctorOptions = SharedOptions & {
  readonly threads: number;
  readonly buildMtmd?: boolean;
  readonly types?: boolean;
  readonly force?: boolean;
};

export function doctorCommand(context: CommandContext): Command {
  const command = new Command("doctor").description(
    "try what PRISM needs on this machine, and say what to do about the rest",
  );
  command.option("--build-mtmd", "build what the embedded llama.cpp reads images with, from its sources on npm");
  command.option("--types", "measure how fast each tensor type is here, in about two minutes; kept in the cache");
  command.option("--force", "with --types: measure again what is in the cache");
  return addSharedOptions(command, "gpu-layers", "threads", "llama-dir", "cache").action((options: DoctorOptions) =>
    options.types ? runTypes(options, context) : runDoctor(options, context),
  );
}

async function runTypes(options: DoctorOptions, context: CommandContext): Promise<void> {
  if (options.buildMtmd) throw new UsageError("--types measures, and --build-mtmd builds; give one after the other");
  const output = openOutput(options);
  const types = await withBench(options, context, output, (bench) => typeSpeeds({ force: options.force }, bench));
  output.result({
    document: { schema: "prism.doctor/1", prismVersion: PRISM_VERSION, ok: true, checks: [], types },
    text: () => renderTypes(types),
    next: undefined,
  });
}

async function runDoctor(options: DoctorOptions, { signal }: CommandContext): Promise<void> {
  const { threads, llamaDir, force } = options;
  if (force) throw new UsageError("--force measures types again; give --types with it");
  const output = openOutput(options);
  if (options.buildMtmd) await buildVision({ threads, signal, note: output.note });
  const stages: readonly (readonly [name: string, run: () => Promise<Check[]>])[] = [
    ["machine", machineChecks],
    ["kernels", () => kernelChecks(output.note, signal)],
    ["engine", () => engineChecks({ threads, signal, llamaDir })],
    ["backends", () => backendChecks(threads)],
  ];
  const progress = followProgress(output);
  const checks: Check[] = [];
  for (const [index, [name, run]] of stages.entries()) {
    progress.steps("checking", index, stages.length, name);
    checks.push(...(await run()));
    signal.throwIfAborted();
  }
  progress.end();
  const missing = checks.filter(({ status }) => status === "missing");
  output.result({
    document: { schema: "prism.doctor/1", prismVersion: PRISM_VERSION, ok: missing.length === 0, checks },
    text: (paint, width) => `prism ${PRISM_VERSION}\n\n${renderChecks(checks, paint, width)}`,
    next: missing.length === 0 ? "prism inspect MODEL.gguf" : "prism doctor, after what is marked -> above",
  });
  if (missing.length > 0) {
    throw new EngineError(`missing: ${missing.map(({ name }) => name).join(", ")}`, { missing: true });
  }
}
