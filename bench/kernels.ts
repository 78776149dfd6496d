/**
 * The native kernels against TypeScript in one run: `npx tsx bench/kernels.ts [--threads N]` prints nanoseconds per
 * weight or logit and their ratio, how far the results lie apart, and the share of the limit that binds the kernel: the
 * time the limit alone would take (limits.ts) over the time taken. PRISM_ISA holds the kernels back.
 */
import { cpus } from "node:os";
import { parseArgs } from "node:util";
import { nativeBackend } from "../src/kernels/native.ts";
import { libraryPath, loadLibrary } from "../src/kernels/native-library.ts";
import { referenceBackend } from "../src/kernels/reference.ts";
import { backendOperations, type Operation } from "./backend-operations.ts";
import { feedbackOperations, logitsOperations, roundTripOperations } from "./engine-operations.ts";
import { fastest, measureLimits } from "./limits.ts";
import { recordResult } from "./results.ts";

const { values } = parseArgs({ options: { threads: { type: "string", default: "1" } } });
const threads = Number(values.threads);

const library = loadLibrary(libraryPath());
if (typeof library === "string") throw new Error(library);
const native = nativeBackend({ threads });
const limits = await measureLimits(library, threads);
const giga = (value: number) => (value / 1e9).toFixed(1);
console.log(
  `${cpus()[0]?.model}, ${native.description}; memory read ${giga(limits.readBytesPerSecond)} GB/s, copied ` +
    `${giga(limits.copyBytesPerSecond)} GB/s, peak ${giga(limits.flopsPerSecond)} GFLOP/s in 64 bits\n`,
);
console.log("| operation | TypeScript, ns | native, ns | ratio | largest relative difference | share of limit |");
console.log("|---|---|---|---|---|---|");

const operations = [
  ...backendOperations({ library, native, reference: referenceBackend(), limits, threads }),
  ...(await roundTripOperations(library)),
  ...logitsOperations(library, limits, threads),
  ...(await feedbackOperations(library, limits, threads)),
];
const figures: Record<string, unknown>[] = [];
for (const operation of operations) figures.push(await measure(operation));
await native.close();
await recordResult({ bench: "kernels", figures: { isa: library.isa, threads, ...limits, operations: figures } });

/** Time an operation, print its line and return its figures. */
async function measure({ name, elements, native, reference, limit }: Operation): Promise<Record<string, unknown>> {
  const difference = largestDifference(await native(), await reference());
  const seconds = await fastest(native);
  const before = await fastest(reference);
  const each = (total: number) => (total * 1e9) / elements;
  const share = limit === undefined ? undefined : limit.seconds / seconds;
  const shown = share === undefined ? "" : `${(100 * share).toFixed(0)} % of ${limit?.name}`;
  console.log(
    `| ${name} | ${each(before).toFixed(2)} | ${each(seconds).toFixed(2)} | ${(before / seconds).toFixed(1)} | ${difference.toExponential(1)} | ${shown} |`,
  );
  return {
    name,
    ns: each(seconds),
    referenceNs: each(before),
    difference,
    ...(share === undefined ? {} : { share, limit: limit?.name }),
  };
}

function largestDifference(found: ArrayLike<number>, expected: ArrayLike<number>): number {
  let largest = 0;
  for (let at = 0; at < expected.length; at++) {
    const [value, right] = [found[at] ?? 0, expected[at] ?? 0];
    if (value !== right) largest = Math.max(largest, Math.abs(value / right - 1));
  }
  return largest;
}
