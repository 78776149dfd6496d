/** How the files of a card were made and measured, and what was not: only what the documents say. */
import { baseName } from "../../base-name.ts";
import { shownName } from "../../bytes/remote-name.ts";
import { calibrationFiles } from "../../feedback/calibration-text.ts";
import { formatInteger } from "../../numbers.ts";
import { textLine } from "../terminal/evaluation-table.ts";
import { type CardModel, planOfCard, publishedRow } from "./card-model.ts";
import { code, text } from "./markdown.ts";

/** Two standard errors of a difference decide; a run with fewer chunks judges nothing (run/verdict.ts). */
const TIE_RULE = "A difference under two standard errors is called a tie.";

/** Facts about one file. */
export function howMade(model: CardModel): string[] {
  return [...planFacts(model), ...codeFacts(model), ...measurementFacts(model)];
}

function planFacts(model: CardModel): string[] {
  const { source, imatrix, sensitivity, budget, mode, prismVersion, createdAt, predicted } = planOfCard(model);
  return [
    `Source: ${code(shownName(source.path))}, ${formatInteger(source.tensorCount)} tensors, ${formatInteger(source.elements)} weights, ${formatInteger(source.fileBytes)} bytes, SHA-256 of its header ${code(source.headerHash)}`,
    `Planned by PRISM ${text(prismVersion)} on ${createdAt.slice(0, 10)} for ${code(budget.text)} (at most ${formatInteger(budget.fileBytes)} bytes), mode ${mode}, sensitivity ${text(`${sensitivity.mode}, version ${sensitivity.version}`)}; predicted ${formatInteger(predicted.fileBytes)} bytes`,
    imatrix === undefined
      ? "No importance matrix"
      : `Importance matrix: ${code(imatrix.path)}, SHA-256 ${code(imatrix.sha256)}, used for every row that was quantized here and is not marked otherwise`,
  ];
}

function codeFacts({ run }: CardModel): string[] {
  const { feedback } = run.asked;
  if (feedback === undefined || publishedRow(run)?.kind !== "feedback") return [];
  const hashes = calibrationFiles(feedback.split(" "));
  const own = hashes.length === feedback.split(" ").length ? [] : ["text that the model writes"];
  const read =
    hashes.length === 0 ? "the calibration text of PRISM" : `text given (SHA-256 ${hashes.map(code).join(", ")})`;
  const by = [...own, read].join(" and ");
  return [
    `Codes: chosen by PRISM with error feedback, calibrated on ${by}, in types planned for them; ${code("llama-quantize")} with the recipe makes the row PRISM`,
  ];
}

function measurementFacts({ run, engine }: CardModel): string[] {
  const { asked, text: scored, refinement, swaps } = run;
  // which processor it was is nobody's business; a GPU computes otherwise
  const devices = (engine?.devices ?? []).filter((device) => !/^CPU\b/i.test(device));
  const local = scored?.path === undefined ? scored : { ...scored, path: baseName(scored.path) };
  return [
    ...(local === undefined ? [] : [`Measured on ${text(textLine(local))}; SHA-256 of the text ${code(local.sha256)}`]),
    ...(refinement === undefined ? [] : [`Probes: ${refinement.probes.length}; ${text(refinement.outcome)}`]),
    ...(swaps?.outcome === undefined ? [] : [`Swaps: ${swaps.moves.length} moves; ${text(swaps.outcome)}`]),
    `Engine: llama.cpp ${text(engine?.version ?? asked.engine)}${devices.length === 0 ? "" : ` on ${text(devices.join(", "))}`}; seed ${asked.seed}`,
    `Run of PRISM ${text(run.prismVersion)}, ${run.finishedAt === undefined ? "not finished" : `finished ${run.finishedAt.slice(0, 16).replace("T", " ")} UTC`}`,
  ];
}

/** What a reader may not conclude. */
export function renderLimits(models: readonly CardModel[]): string {
  const rows = models.flatMap(({ run }) => run.rows);
  const scored = models.flatMap(({ run }) => run.text ?? []);
  const contexts = [...new Set(scored.map(({ context }) => context))].sort((a, b) => a - b);
  const lines = [
    ...(rows.some(({ kld }) => kld !== undefined)
      ? [
          "KLD is the distance of a file's next-token distribution from its source's on the text above: how true a file is to its source, not how good the source is.",
        ]
      : []),
    ...(scored.some(({ source }) => source === "sampled")
      ? [
          "The text was sampled from the source itself: it is typical of the model, and says nothing of a particular domain or language.",
        ]
      : []),
    ...(rows.some(({ ppl }) => ppl !== undefined)
      ? ["Perplexities compare only with those of the same text and context, that is within this table."]
      : []),
    ...(models.length > 1 && new Set(scored.map(({ sha256 }) => sha256)).size > 1
      ? ["The models of the table were measured on different texts: compare rows of one model."]
      : []),
    ...(rows.some(({ embedding }) => embedding !== undefined)
      ? [
          "Drift is 1 − cosine between a file's vector of a text and its source's; overlap@10 how many of the ten documents nearest to a query are the source's. Both say how true a file is to its source, not how good that is.",
        ]
      : []),
    ...(rows.some(({ rerank }) => rerank !== undefined)
      ? [
          "|Δscore| is the distance of a document's score from the source's, over the queries of the set: how true the ranking is to the source's.",
        ]
      : []),
    ...(contexts.length === 0
      ? []
      : [
          `Nothing was measured beyond a context of ${contexts.join(" or ")} tokens, and no benchmark of tasks was run.`,
        ]),
    `Figures are given with one standard error. ${TIE_RULE}`,
    ...models.flatMap(({ run, plan }) => [...run.warnings, ...plan.warnings]),
  ];
  return [...new Set(lines)].map((line) => `- ${text(line)}`).join("\n");
}
