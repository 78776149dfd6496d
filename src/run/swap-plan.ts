/**
 * Swaps: below three bits per weight the damage of tensors no longer adds up, so moves of the plan are measured with all
 * of it in place, and tensors take steps at the same budget by what these show. That plan takes the place of the other
 * only where it beats it on the chunks of the trial.
 */
import { aboutSeconds } from "../evaluate/text.ts";
import { isQuantizedType, tensorBytes } from "../ggml/tensor-types.ts";
import { makePlan, type PlanOptions } from "../plan/make-plan.ts";
import type { Plan } from "../plan/plan.ts";
import { movedPlan } from "../probes/choose-moves.ts";
import { measureMoves, planMoves } from "../probes/plan-moves.ts";
import { leftMs } from "./deadline.ts";
import { planFileMs } from "./estimate.ts";
import type { OpenRun } from "./open-run.ts";
import { decideSwaps, swapTimeMs } from "./probe-budget.ts";
import type { ProbeBudget, Run, Swaps } from "./run-document.ts";
import { openRunSite, probeBudgetInput } from "./run-site.ts";
import { saveRun } from "./run-state.ts";
import { isKept, lackInWords, trialInWords, trialOutcome, tryInRun } from "./trial.ts";

/** Bits per weight of the tensors that are planned below which a plan is swapped unasked. */
export const FEW_BITS = 3;

export interface Swapped {
  readonly state: Run;
  /** The one that is kept. */
  readonly plan: Plan;
}

/** What these options plan, swapped where a refined run plans few bits, or was asked to. */
export async function swapPlan(run: OpenRun, begun: Run, planOptions: PlanOptions): Promise<Swapped> {
  const plan = makePlan(planOptions);
  if (!isToSwap(run, begun) || (run.request.swaps === "auto" && plannedBpw(plan) >= FEW_BITS)) {
    return { state: begun, plan };
  }
  const state = begun.swaps?.outcome === undefined ? await swap(run, begun, plan, planOptions) : begun;
  const { accepted, moves = [] } = state.swaps ?? {};
  return { state, plan: accepted ? movedPlan(planOptions, plan, moves) : plan };
}

/**
 * The file of a search or of the knee of a sweep is one that was measured, and where a class has one type none of its
 * tensors takes a step; what has rows without swaps goes on without.
 */
function isToSwap({ request }: OpenRun, { refinement, probeBudget, swaps, rows }: Run): boolean {
  const { target, sweep = [], mode, budget } = request;
  // a step in one memory is not paid for in the other
  if (budget.kind === "fileBytes" && budget.memory?.experts !== undefined) return false;
  if (request.swaps === "off" || target !== undefined || sweep.length > 0 || mode === "class") return false;
  if (refinement === undefined || probeBudget === undefined) return false;
  return swaps !== undefined || rows.length === 0;
}

/** The state with what was measured, tried and decided; saved after every move. */
async function swap(run: OpenRun, begun: Run, plan: Plan, planOptions: PlanOptions): Promise<Run> {
  const { directory, bench } = run;
  const budget = begun.probeBudget as ProbeBudget;
  const started = performance.now();
  const begin = async (): Promise<Swaps> => ({ chunks: await decide(run, begun, plan, planOptions), moves: [] });
  const swaps = begun.swaps ?? (await begin());
  const end = async (of: Omit<Swaps, "chunks" | "elapsedMs">): Promise<Run> => {
    bench.progress.note(of.outcome ?? "");
    const elapsedMs = Math.round(performance.now() - started);
    const state = { ...begun, swaps: { chunks: swaps.chunks, ...of, elapsedMs } };
    await saveRun(directory, state);
    return state;
  };
  if (swaps.chunks === 0) {
    const outcome = "no swaps: there is no time for them and their trial";
    return end({ moves: [], accepted: false, outcome, outcomeCode: "no-time" });
  }
  const site = await openRunSite(run, planOptions.analysis, budget);
  try {
    const onMove = (moves: Swaps["moves"]) => saveRun(directory, { ...begun, swaps: { ...swaps, moves } });
    const moves = await measureMoves(site, { plan, chunks: swaps.chunks, known: swaps.moves, onMove }, bench);
    const refined = movedPlan(planOptions, plan, moves);
    const tried = await tryInRun(run, site, "the swapped plan against the one before", { unrefined: plan, refined });
    if (typeof tried === "string") {
      const outcome = "the moves of the plan ask for no swap";
      return await end({ moves, accepted: false, outcome, outcomeCode: "no-change" });
    }
    const accepted = isKept(tried);
    const outcome = accepted
      ? `swapped plan kept: ${trialInWords(tried)}`
      : `plan kept without swaps: the swapped one ${lackInWords(tried)} (${trialInWords(tried)})`;
    return await end({ moves, trial: tried, accepted, outcome, outcomeCode: trialOutcome(tried) });
  } finally {
    await site.close();
  }
}

/** Chunks for each move, said together with the time they take; 0 where there is no time. */
async function decide(run: OpenRun, begun: Run, plan: Plan, { analysis }: PlanOptions): Promise<number> {
  const { request, bench } = run;
  const budget = begun.probeBudget as ProbeBudget;
  const moves = planMoves(plan).length;
  const input = await probeBudgetInput(run, analysis);
  const asked = {
    isOn: request.swaps === "on",
    timeMs: request.refine === "none" ? undefined : request.refine.timeMs,
    takenMs: begun.refinement?.elapsedMs ?? 0,
  };
  const left = leftMs(request.deadline) - planFileMs(run.expected);
  const isShort = budget.trialChunks === 0 || swapTimeMs(moves, budget, input) > left;
  const chunks = isShort ? 0 : decideSwaps(asked, moves, budget, input);
  if (chunks > 0) {
    const time = aboutSeconds(swapTimeMs(moves, { ...budget, textChunks: chunks }, input));
    bench.progress.note(`measuring ${moves} moves of the plan on ${chunks} chunks each, ${time}`);
  }
  return chunks;
}

/** Bits per weight of what is quantized. */
function plannedBpw({ tensors }: Pick<Plan, "tensors">): number {
  const quantized = tensors.filter(({ reason, type }) => reason !== "ineligible" && isQuantizedType(type));
  const bytes = quantized.reduce((sum, { type, shape }) => sum + tensorBytes(type, shape), 0);
  return (8 * bytes) / quantized.reduce((sum, { elements }) => sum + elements, 0);
}
