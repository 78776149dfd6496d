/**
 * The Run document (`prism.run/1`), state.json of a run's directory: what was asked, what is done, and the rows of the
 * result. Written after every finished step, so that an interrupted run goes on where it was.
 */
import { defineDocument } from "../documents/document-kind.ts";
import {
  amount,
  type Content,
  count,
  exactly,
  flag,
  given,
  list,
  measured,
  name,
  nats,
  number,
  object,
  oneOf,
  optional,
  percent,
  prose,
  some,
  text,
} from "../documents/fields.ts";
import { KLD_SUMMARY, PPL, SCORED_TEXT } from "../evaluate/evaluation.ts";
import { FIDELITY } from "../evaluate/rerank-result.ts";
import { OUTPUT_FILE } from "../quantize/output-file.ts";
import { PROBE_MEASUREMENT } from "../sensitivity/density-document.ts";

const ROW_KIND = oneOf(
  ["plan", "preset", "published", "uniform", "uniform-s", "shuffle", "reference"],
  "uniform-s: the plan with s = elements, the control of any other sensitivity.",
);
export type RowKind = Content<typeof ROW_KIND>;

/** Of anything that was measured: rows and points of a sweep. */
const FIGURES = {
  label: name(),
  fileBytes: some(),
  bpw: amount(),
  ppl: optional(PPL),
  lnPplRatio: optional(measured()),
  kld: optional(KLD_SUMMARY),
  sameTop: optional(percent("Percent.")),
  sameTopSe: optional(amount()),
  predictedLoss: optional(
    amount("Σ s·D of its types under the plan's sensitivity; absent where D of one was not measured."),
  ),
  rerank: optional(
    object(
      { ...FIDELITY, ndcg10: optional(measured(amount())) },
      {
        description:
          "Of a reranker: how far its scores are from the reference's. The verdict goes by it where it is there.",
      },
    ),
  ),
  rerankMinusPlan: optional(measured(number(), "Mean |Δscore| of this row minus the plan's, over the same queries.")),
};

const RUN_ROW = object({
  ...FIGURES,
  kind: ROW_KIND,
  verdict: optional(
    prose("The plan against this row, in words (verdict.ts); for the plan itself, the verdict of the run."),
  ),
  kldMinusPlan: optional(
    measured(
      number(),
      "KLD of this row minus the plan's, over the same chunks, with the standard error between chunks.",
    ),
  ),
  kldPerChunk: optional(list(nats(), { description: "Mean KLD per chunk, for comparisons between any two rows." })),
});
export interface RunRow extends Content<typeof RUN_ROW> {}

const RUN_ASKED = object(
  {
    model: name(),
    fingerprint: text(),
    budget: text(),
    sweep: optional(list(text(), { description: "Budgets of a sweep." })),
    mode: text(),
    constraints: list(text()),
    guards: list(text(), { description: "The guards that were on (docs/guards.md)." }),
    sensitivity: text(),
    refine: optional(text('Probes asked for: a number, or "auto"; absent: none.')),
    imatrix: optional(text()),
    baselines: list(text()),
    text: text('SHA-256 of the text file, or "sampled".'),
    rerankSet: optional(
      text("SHA-256 of the file of queries and documents; absent: the set that comes with PRISM, if any."),
    ),
    context: optional(count()),
    chunks: optional(count()),
    seed: number(),
    exactMetrics: flag(),
    exactDistortion: flag(),
    gpuLayers: number(),
    engine: text(),
    prismVersion: text(),
  },
  { description: "Everything that decides the result; a directory is resumed only with the same." },
);
export interface RunAsked extends Content<typeof RUN_ASKED> {}

const SWEEP_POINT = object(
  {
    ...FIGURES,
    budget: text("The budget as it was asked."),
    plan: name("Its plan, below the run's directory."),
  },
  { description: "A plan of a sweep or of the search for a quality, measured like a row." },
);
export interface SweepPoint extends Content<typeof SWEEP_POINT> {}

const CALIBRATION = object({
  scale: amount("Measured KLD per unit of predicted loss, the geometric mean."),
  fit: list(object({ predictedLoss: amount(), kld: amount() }), {
    description: "The fit, by predicted loss; KLD never falls along it.",
  }),
  ratios: list(object({ label: text(), ratio: amount() }), {
    description: "Per point, measured KLD ÷ (scale × predicted loss): 1 where the prediction holds.",
  }),
});
export interface Calibration extends Content<typeof CALIBRATION> {}

const SWEEP = object(
  {
    points: list(SWEEP_POINT),
    survivors: list(text(), {
      description:
        "Labels of the points, presets, published recipes and the plan that no other one of them beats, by size.",
    }),
    knee: optional(text("The survivor beyond which a byte buys less than on average; absent where there is no bend.")),
    calibration: optional(CALIBRATION),
  },
  { description: "Size against KLD: plans at several budgets beside the presets of the rows." },
);
export interface Sweep extends Content<typeof SWEEP> {}

const TARGET_RESULT = object(
  {
    measure: oneOf(["kld", "pplRatio"]),
    limit: amount(),
    fileBytes: some(),
    value: number(),
    se: amount(),
    evaluations: count("Files that were made and measured to find it."),
  },
  { description: "The quality that was asked, and the file that meets it: value + se ≤ limit." },
);
export interface TargetResult extends Content<typeof TARGET_RESULT> {}

const REFINEMENT = object(
  {
    prior: text("What regularised the fit: the sensitivity of the unrefined plan."),
    kind: oneOf(
      ["in-place", "file"],
      "in-place: weights are degraded in a loaded model; file: every probe is a quantized file.",
    ),
    text: oneOf(["file", "sampled"], "Where the probes' tokens come from; none of them is the verdict's."),
    context: count(),
    verdictChunks: optional(count("Chunks of the text that were left for the verdict; absent: all.")),
    probes: list(PROBE_MEASUREMENT),
    elapsedMs: amount(),
    trial: optional(
      object(
        {
          chunks: count(),
          unrefinedKld: nats(),
          refinedKld: nats(),
          difference: measured(number(), "Refined minus unrefined."),
        },
        {
          description:
            "Both plans on the same chunks, which neither the probes nor the verdict saw; absent where they are the same.",
        },
      ),
    ),
    accepted: flag(),
    outcome: prose("In words."),
  },
  { description: "What probes changed, and whether the plan keeps it." },
);
export interface Refinement extends Content<typeof REFINEMENT> {}

const GATE_RESULT = object({ gate: text(), value: optional(number()), met: flag() });
export interface GateResult extends Content<typeof GATE_RESULT> {}

export const RUN = defineDocument({
  id: "prism.run/1",
  noun: "the state of a run",
  remedy: "--force starts the run anew, or delete the file",
  description: "What was asked of a run, what is done, and the rows of its result: state.json of its directory.",
  schema: object({
    schema: exactly("prism.run/1"),
    prismVersion: text(),
    createdAt: text(),
    finishedAt: optional(text()),
    asked: RUN_ASKED,
    refinement: optional(
      given(REFINEMENT, { description: "What probes did; absent where none were asked, or until they are done." }),
    ),
    text: optional(given(SCORED_TEXT, { description: "What was scored; absent until the first model was." })),
    rows: list(RUN_ROW),
    sweep: optional(SWEEP),
    target: optional(TARGET_RESULT),
    verdict: optional(prose()),
    creditsSensitivity: optional(
      flag({
        description:
          "Whether the plan beats s = elements and every shuffle by more than 2 SE; absent until all of them were judged.",
      }),
    ),
    gates: list(GATE_RESULT),
    warnings: list(prose()),
    outputs: optional(
      list(OUTPUT_FILE, {
        description:
          "The files to take away, of a finished run: the models that are kept, projectors, plan and recipes.",
      }),
    ),
  }),
});
export interface Run extends Content<typeof RUN.schema> {}
