/** What a run was asked, as its document has it: all that its result depends on, so that it is gone on with only for the same. */
import * as t from "../documents/fields.ts";

export const RUN_ASKED = t.object(
  {
    model: t.name(),
    fingerprint: t.text(),
    budget: t.text(),
    sweep: t.optional(t.list(t.text(), "Budgets of a sweep or a family.")),
    family: t.optional(t.flag("The file of each of these budgets is kept; absent: of none but the plan.")),
    mode: t.text(),
    constraints: t.list(t.text()),
    guards: t.list(t.text(), "The guards that were on (docs/guards.md)."),
    types: t.optional(t.list(t.text(), "The only types that the plan may choose; absent: every candidate.")),
    sensitivity: t.text(),
    refine: t.optional(t.text('Probes asked for: a number, a time, both, or "auto"; absent: none.')),
    swaps: t.optional(t.text("on or off; absent: auto.")),
    probeGuard: t.optional(t.text("What a refined plan may not make worse.")),
    imatrix: t.optional(
      t.text(
        'SHA-256 of the importance matrix, "sampled" for one of text sampled from the model, "shipped" for one of the text that comes with PRISM; absent: none.',
      ),
    ),
    feedback: t.optional(
      t.text(
        'What codes are chosen by: "own" for text that the model writes and that comes with PRISM, or SHA-256 of the files given; absent: llama-quantize alone chooses them.',
      ),
    ),
    baselines: t.list(t.text("A preset; or the name of a file, with its identity or the SHA-256 of its types.")),
    text: t.text('SHA-256 of the text file, or "sampled".'),
    rerankSet: t.optional(
      t.text("SHA-256 of the file of queries and documents; absent: the set that comes with PRISM, if any."),
    ),
    reading: t.optional(t.prose("How documents were scored by a prompt where that was asked, as JSON.")),
    retrieval: t.optional(
      t.prose(
        "What embeddings were judged by where that was asked: SHA-256 of the file, pooling and prefixes, as JSON.",
      ),
    ),
    context: t.optional(t.count()),
    chunks: t.optional(t.count()),
    kinds: t.optional(
      t.text('Kinds of text that files are judged by too: "shipped", or SHA-256 of the files given; absent: none.'),
    ),
    kv: t.optional(t.text("Types of the caches that files are judged with too; absent: F16 alone.")),
    seed: t.number(),
    exactMetrics: t.flag(),
    exactDistortion: t.flag(),
    gpuLayers: t.number(),
    devices: t.optional(t.list(t.prose(), "What decodes, where a GPU does.")),
    engine: t.text(),
    prismVersion: t.text(),
  },
  "Everything that decides the result; a directory is resumed only with the same.",
);
export interface RunAsked extends t.Content<typeof RUN_ASKED> {}
