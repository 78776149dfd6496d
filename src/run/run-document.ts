/**
 * The Run document (`prism.run/1`), state.json of a run's directory: what was asked, what is done, and the rows of the
 * result. Written after every finished step, so that an interrupted run goes on where it was.
 */
import { defineDocument } from "../documents/document-kind.ts";
import * as t from "../documents/fields.ts";
import { gateResult } from "../documents/gate-result.ts";
import { EMBEDDING_FIDELITY } from "../evaluate/embedding-result.ts";
import { KIND_FIGURES, KLD_SUMMARY, KV_FIGURES, MEASURED_SHA256, PPL, SCORED_TEXT } from "../evaluate/evaluation.ts";
import { FIDELITY } from "../evaluate/rerank-result.ts";
import { SPEED } from "../evaluate/speed.ts";
import { PROBE_GUARDS } from "../probes/try-plans.ts";
import { OUTPUT_FILE } from "../quantize/output-file.ts";
import { DECODED_BY, PROBE_MEASUREMENT } from "../sensitivity/density-document.ts";
import { RUN_ASKED } from "./asked-document.ts";
import { RUN_STAGES } from "./estimate.ts";
import { OUTCOMES, ROW_VERDICTS, RUN_VERDICTS } from "./verdict-codes.ts";

const ROW_KIND = t.oneOf(
  [
    "plan",
    "feedback",
    "preset",
    "plain",
    "published",
    "rival",
    "uniform",
    "uniform-s",
    "unguarded",
    "shuffle",
    "reference",
  ],
  "feedback: the plan with codes that PRISM chose with error feedback, in the place of llama-quantize's; plain: a preset without the importance matrix that all other rows have; published: the types of a published recipe, or of the file of types that --baseline names; rival: a file that somebody else made, as it is; uniform-s: the plan with s = elements, the control of any other sensitivity; unguarded: the plan without the guard of the head, where that binds.",
);
export type RowKind = t.Content<typeof ROW_KIND>;

/** Of anything that was measured: rows and points of a sweep. */
const FIGURES = {
  label: t.name(),
  fileBytes: t.some(),
  sha256: t.optional(MEASURED_SHA256),
  bpw: t.amount(),
  ppl: t.optional(PPL),
  lnPplRatio: t.optional(t.measured()),
  kld: t.optional(KLD_SUMMARY),
  sameTop: t.optional(t.percent("Percent.")),
  sameTopSe: t.optional(t.amount()),
  kinds: t.optional(t.list(KIND_FIGURES, "By kind of text (--kinds).")),
  kvCache: t.optional(KV_FIGURES),
  speed: t.optional(SPEED),
  predictedLoss: t.optional(
    t.amount(
      "Σ s·D of its types under the plan's sensitivity, D of its codes; absent where D of one was not measured.",
    ),
  ),
  rerank: t.optional(
    t.object(
      { ...FIDELITY, ndcg10: t.optional(t.measured(t.amount())) },
      "Of a reranker: how far its scores are from the reference's. The verdict goes by it where it is there.",
    ),
  ),
  rerankMinusPlan: t.optional(
    t.measured(t.number(), "Mean |Δscore| of this row minus the plan's, over the same queries."),
  ),
  embedding: t.optional(
    t.object(
      { ...EMBEDDING_FIDELITY, ndcg10: t.optional(t.measured(t.amount())) },
      "Of a model that embeds: how far its vectors, and what they find, are from the reference's. The verdict goes by the drift.",
    ),
  ),
  driftMinusPlan: t.optional(t.measured(t.number(), "Drift of this row minus the plan's, over the same texts.")),
};

const KLD_PER_CHUNK = t.optional(t.list(t.nats(), "Mean KLD per chunk, for comparisons between any two rows."));

const RUN_ROW = t.object({
  ...FIGURES,
  kind: ROW_KIND,
  from: t.optional(t.name("Of a rival that was fetched: where from, with the commit.")),
  verdict: t.optional(
    t.prose("The plan against this row, in words (verdict.ts); for the plan itself, the verdict of the run."),
  ),
  verdictCode: t.optional(
    t.oneOf(
      ROW_VERDICTS,
      "The plan against this row, for programs. wins, ties, loses: by more or less than 2 SE, against a file of its size or one that is larger (wins) or smaller (loses); matches: as good as a larger file; larger-file, smaller-file: this one is larger and better, or smaller and worse.",
    ),
  ),
  kldMinusPlan: t.optional(
    t.measured(
      t.number(),
      "KLD of this row minus the plan's, over the same chunks, with the standard error between chunks.",
    ),
  ),
  kldPerChunk: KLD_PER_CHUNK,
});
export interface RunRow extends t.Content<typeof RUN_ROW> {}

/** Of a file of a family, which is kept and judged by itself. */
const MEMBER_FILE = {
  plan: t.name("Its plan, below the run's directory."),
  path: t.name("The file, below the run's directory."),
  kldPerChunk: KLD_PER_CHUNK,
  preset: t.optional(t.text("Label of the row it is judged against: the preset nearest in size.")),
  kldMinusPreset: t.optional(
    t.measured(
      t.number(),
      "Its KLD minus that preset's, over the same chunks, with the standard error between chunks.",
    ),
  ),
  verdict: t.optional(t.prose("The file against that preset, in words (family-verdict.ts).")),
  verdictCode: t.optional(t.oneOf(ROW_VERDICTS, "The same for programs, as of a row.")),
};

const CODED_MEMBER = t.object(
  { ...FIGURES, ...MEMBER_FILE },
  "The same budget with codes that PRISM chose with error feedback, in types planned for them.",
);
export interface CodedMember extends t.Content<typeof CODED_MEMBER> {}

const SWEEP_POINT = t.object(
  {
    ...FIGURES,
    ...MEMBER_FILE,
    budget: t.text("The budget as it was asked."),
    path: t.optional(t.name("The file, below the run's directory, where it is kept: of a member of a family.")),
    feedback: t.optional(CODED_MEMBER),
  },
  "A plan of a family, of a sweep or of the search for a quality, measured like a row.",
);
export interface SweepPoint extends t.Content<typeof SWEEP_POINT> {}

const CALIBRATION = t.object({
  scale: t.amount("Measured KLD per unit of predicted loss, the geometric mean."),
  fit: t.list(
    t.object({ predictedLoss: t.amount(), kld: t.amount() }),
    "The fit, by predicted loss; KLD never falls along it.",
  ),
  ratios: t.list(
    t.object({ label: t.text(), ratio: t.amount() }),
    "Per point, measured KLD ÷ (scale × predicted loss): 1 where the prediction holds.",
  ),
});
export interface Calibration extends t.Content<typeof CALIBRATION> {}

const SWEEP = t.object(
  {
    points: t.list(SWEEP_POINT),
    survivors: t.list(
      t.text(),
      "Labels of the points, presets, published recipes and the plan that no other one of them beats, by size.",
    ),
    knee: t.optional(
      t.text("The survivor beyond which a byte buys less than on average; absent where there is no bend."),
    ),
    calibration: t.optional(CALIBRATION),
  },
  "Size against KLD: plans at several budgets beside the presets of the rows.",
);
export interface Sweep extends t.Content<typeof SWEEP> {}

const FAMILY = t.object(
  {
    plan: t.optional(
      t.text(
        "Label of the point that is the run's plan too; absent where the budget of the plan is none of the family's.",
      ),
    ),
    chosen: t.oneOf(
      ["budget", "target", "knee", "nearest"],
      "Why the plan, and its controls, are of this size: it was asked for; it meets the quality; it is the knee; there is no knee, and it is nearest to the default budget.",
    ),
  },
  "Of a run that keeps the file of each of its sizes: the points of `sweep` that have a `path`.",
);
export interface Family extends t.Content<typeof FAMILY> {}

const TARGET_RESULT = t.object(
  {
    measure: t.oneOf(["kld", "pplRatio"]),
    limit: t.amount(),
    fileBytes: t.some(),
    value: t.number(),
    se: t.amount(),
    evaluations: t.count("Files that were made and measured to find it."),
  },
  "The quality that was asked, and the file that meets it: value + se ≤ limit.",
);
export interface TargetResult extends t.Content<typeof TARGET_RESULT> {}

const PROBE_BUDGET = t.object(
  {
    probes: t.optional(t.count("Groups of tensors at most; absent: as the chunks allow.")),
    chunks: t.count("Chunks decoded for them at most."),
    regret: t.optional(t.amount("Expected regret at which enough is known.")),
    textChunks: t.count("Chunks of their text."),
    trialChunks: t.count("Chunks on which the plans are tried at most; 0: they are not."),
  },
  "What is decoded for probes: decided once, before the first.",
);
export interface ProbeBudget extends t.Content<typeof PROBE_BUDGET> {}

const PROBED_DENSITY = t.object(
  {
    name: t.name(),
    class: t.text(),
    layer: t.optional(t.count()),
    density: t.amount("Nats per weight and unit of D."),
    sd: t.amount("Standard deviation of its natural logarithm, the level of all densities left out."),
    alone: t.flag("Whether the tensor was probed alone."),
  },
  "What probes tell of a tensor.",
);
export interface ProbedDensity extends t.Content<typeof PROBED_DENSITY> {}

const TRIAL = t.object(
  {
    chunks: t.count(),
    unit: t.optional(t.exactly("drift", "Of all figures: 1 − cosine of embeddings; absent: nats of KL divergence.")),
    unrefinedKld: t.nats("Of the plan that stays unless the other is surely better."),
    refinedKld: t.nats(),
    difference: t.measured(t.number(), "Refined minus unrefined."),
    p99: t.optional(
      t.object(
        {
          unrefined: t.nats(),
          refined: t.nats(),
          difference: t.measured(t.number(), "Refined minus unrefined; the error is of a bootstrap over the chunks."),
        },
        "99th percentiles of the tokens' KL divergence.",
      ),
    ),
    guard: t.optional(t.oneOf(PROBE_GUARDS, "What the refined plan was held to besides.")),
  },
  "Both plans on the same chunks, which neither the probes nor the verdict saw; absent where they are the same.",
);
export interface Trial extends t.Content<typeof TRIAL> {}

const OUTCOME_CODE = t.oneOf(
  OUTCOMES,
  "For programs: kept; kept-untried: without a trial; not-better, worse-tail: the trial was lost; no-change: it would be the same plan; untried: not kept without a trial; no-time.",
);

const SWAPS = t.object(
  {
    chunks: t.count("Chunks of the probes' text that each move is measured on; 0: there is no time for it."),
    moves: t.list(
      t.object(
        {
          tensor: t.name(),
          step: t.oneOf(["up", "down"]),
          predicted: t.number("Loss that it adds by the plan's sensitivity."),
          effect: t.measured(t.number(), "Nats of KL divergence that it adds to the whole plan, paired over chunks."),
        },
        "A tensor one step up or down its types, everything else in those of the plan.",
      ),
    ),
    elapsedMs: t.optional(t.amount()),
    trial: t.optional(TRIAL),
    accepted: t.optional(
      t.flag("Whether the plan takes the steps that the moves are in favour of; absent until tried."),
    ),
    outcome: t.optional(t.prose("In words.")),
    outcomeCode: t.optional(OUTCOME_CODE),
  },
  "What moves of a plan below 3 bits per weight did to it, and whether the plan that follows from that is kept.",
);
export interface Swaps extends t.Content<typeof SWAPS> {}

const REFINEMENT = t.object(
  {
    prior: t.text("What regularised the fit: the sensitivity of the unrefined plan."),
    kind: t.oneOf(
      ["in-place", "file"],
      "in-place: weights are degraded in a loaded model; file: every probe is a quantized file.",
    ),
    text: t.oneOf(["file", "sampled", "shipped"], "Where the probes' tokens come from; none of them is the verdict's."),
    unit: t.optional(
      t.exactly("drift", "Of probes and densities: 1 − cosine of embeddings; absent: nats of KL divergence."),
    ),
    context: t.count(),
    ...DECODED_BY,
    verdictChunks: t.optional(t.count("Chunks of the text that were left for the verdict; absent: all.")),
    probes: t.list(PROBE_MEASUREMENT),
    decoded: t.optional(t.count("Chunks that the probes took.")),
    densities: t.optional(t.list(PROBED_DENSITY)),
    regret: t.optional(t.amount("Part of the plan's loss that is expected to be saved if every density were known.")),
    elapsedMs: t.amount(),
    trial: t.optional(TRIAL),
    accepted: t.flag(),
    outcome: t.prose("In words."),
    outcomeCode: t.optional(OUTCOME_CODE),
  },
  "What probes changed, and whether the plan keeps it.",
);
export interface Refinement extends t.Content<typeof REFINEMENT> {}

const GATE_RESULT = gateResult({
  verdictCode: t.optional(t.oneOf(ROW_VERDICTS, "Of beats() and ties(): the plan against that row.")),
});
export interface GateResult extends t.Content<typeof GATE_RESULT> {}

const SPLIT_MODEL = t.object(
  {
    path: t.name("Name of the whole file, below the run's directory; it is not there any more."),
    sha256: t.text("Of the whole file, which is what was measured."),
    how: t.text(),
    files: t.list(OUTPUT_FILE, "The parts in order, below the run's directory."),
  },
  "A model that stands in parts.",
);
export interface SplitModel extends t.Content<typeof SPLIT_MODEL> {}

const STOPPED = t.object(
  {
    stage: t.oneOf(Object.values(RUN_STAGES), "The stage that it ended in, or whose search it cut short."),
    maxTime: t.text("As it was asked for: 2h."),
    cutShort: t.optional(
      t.flag("The search for a quality, or the sizes of a sweep or a family, ended early; going on goes on with them."),
    ),
    missing: t.list(t.text(), "Labels of rows that were to be made and are not, as far as they were known."),
  },
  "--max-time was over before everything was done. The same command with a longer time goes on.",
);
export interface Stopped extends t.Content<typeof STOPPED> {}

export const RUN = defineDocument({
  id: "prism.run/1",
  noun: "the state of a run",
  remedy: "--force starts the run anew, or delete the file",
  description: "What was asked of a run, what is done, and the rows of its result: state.json of its directory.",
  schema: t.object({
    schema: t.exactly("prism.run/1"),
    prismVersion: t.text(),
    createdAt: t.text(),
    finishedAt: t.optional(t.text("Absent of a run that was interrupted, or stopped.")),
    stopped: t.optional(STOPPED),
    split: t.optional(t.list(SPLIT_MODEL, "Models in parts (--split-max-size, --keep-split); absent: none.")),
    asked: RUN_ASKED,
    probeBudget: t.optional(t.given(PROBE_BUDGET, "Absent where no probes were asked for, or no time is enough.")),
    refinement: t.optional(
      t.given(REFINEMENT, "What probes did; absent where none were asked, or until they are done."),
    ),
    swaps: t.optional(t.given(SWAPS, "Absent where the plan has more bits, or nobody probes.")),
    text: t.optional(t.given(SCORED_TEXT, "What was scored; absent until the first model was.")),
    rows: t.list(RUN_ROW),
    sweep: t.optional(SWEEP),
    family: t.optional(FAMILY),
    target: t.optional(TARGET_RESULT),
    verdict: t.optional(t.prose()),
    verdictCode: t.optional(
      t.oneOf(
        RUN_VERDICTS,
        "For programs. wins: it beats some controls and loses to none; mixed: it beats some and loses to some; ties: neither; no-control: nothing to compare with; no-verdict: too little was scored.",
      ),
    ),
    creditsSensitivity: t.optional(
      t.flag(
        "Whether the plan beats s = elements and every shuffle by more than 2 SE; absent until all of them were judged.",
      ),
    ),
    gates: t.list(GATE_RESULT),
    warnings: t.list(t.prose()),
    kept: t.optional(
      t.list(OUTPUT_FILE, "Documents the run goes on from or reports of, as they were when it wrote them."),
    ),
    outputs: t.optional(
      t.list(
        OUTPUT_FILE,
        "The files to take away, of a finished run: the models that are kept, projectors, plan and recipes.",
      ),
    ),
    seal: t.optional(
      t.text("SHA-256 of this document without the seal, as JSON without spaces, in hexadecimal digits."),
    ),
  }),
});
export interface Run extends t.Content<typeof RUN.schema> {}
