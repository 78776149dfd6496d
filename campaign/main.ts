/** npm run campaign -- [PART ...] [--seed N] [--count N] [--keep] [--first N] [--only NAME], or report */
import { parseArgs } from "node:util";
import { PARTS } from "./parts.ts";
import { record, writePage } from "./report.ts";

/** Milliseconds between two lines that tell how far a part is. */
const TELL_EVERY_MS = 10_000;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    seed: { type: "string", default: "1" },
    count: { type: "string" },
    keep: { type: "boolean", default: false },
    first: { type: "string" },
    only: { type: "string" },
  },
});

const names = positionals.length > 0 ? positionals : Object.keys(PARTS);
const unknown = names.filter((name) => name !== "report" && !Object.hasOwn(PARTS, name));
const numbers = [values.seed, values.count ?? "1", values.first ?? "0"];
if (unknown.length > 0 || !numbers.every((text) => /^\d+$/.test(text))) {
  console.error(`usage: npm run campaign -- [${Object.keys(PARTS).join("|")}|report] [--seed N] [--count N] [--keep]`);
  console.error(
    "--keep writes the figures to campaign/results.json and docs/reliability.md; report writes the latter again",
  );
  console.error(
    "--first N --count 1 makes a case again; readers: --only NAME draws other cases, of these readers alone",
  );
  process.exit(2);
}

let failed = false;
for (const name of names.filter((name) => name !== "report")) {
  const part = PARTS[name] as (typeof PARTS)[string];
  let told = performance.now();
  const request = {
    seed: Number(values.seed),
    count: Number(values.count ?? part.count),
    onCase(done: number, failures: number) {
      if (performance.now() - told < TELL_EVERY_MS) return;
      told = performance.now();
      console.error(`${name}: ${done} cases, ${failures} failures`);
    },
    onFailure: ({ kind, id, what }: { kind: string; id: string; what: string }) =>
      console.log(`${kind} ${id}: ${what}`),
    ...(values.first === undefined ? {} : { first: Number(values.first) }),
    ...(values.only === undefined ? {} : { only: values.only }),
  };
  const result = await part.run(request);
  for (const what of result.skipped) console.log(`${name}: skipped: ${what}`);
  for (const [what, times] of Object.entries(result.counts)) console.log(`  ${what}: ${times}`);
  console.log(`${name}: ${result.cases} cases, ${result.failures.length} failures in ${result.seconds} s`);
  failed ||= result.failures.length > 0;
  if (values.keep) record(result);
}
if (values.keep || names.includes("report")) console.log(`wrote ${writePage()}`);
if (failed) process.exitCode = 1;
