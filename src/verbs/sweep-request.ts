/** What a run may be asked instead of a size: a quality, or a sweep over sizes. */
import { parseBpw } from "../allocate/budget.ts";
import { UsageError } from "../errors.ts";
import type { FileType } from "../ggml/file-types.ts";
import type { BudgetRequest } from "../plan/budget.ts";
import type { QualityTarget } from "../run/quality-target.ts";

export interface QualityRequest {
  /** Find the smallest file whose KL divergence is at most this. */
  readonly kld?: number | string | undefined;
  /** Find the smallest file whose perplexity is at most this times the reference's. */
  readonly pplRatio?: number | string | undefined;
  /** Measure plans at these bits per weight too; the knee is the plan. */
  readonly budgets?: readonly number[] | string | undefined;
  /** The same at the sizes of SWEEP_PRESETS. */
  readonly sweep?: boolean | undefined;
}

/** The presets whose sizes a sweep takes: from the smallest that works without an imatrix to the largest in use. */
export const SWEEP_PRESETS: readonly FileType[] = ["Q2_K", "Q3_K_M", "IQ4_XS", "Q4_K_M", "Q5_K_M", "Q6_K"];

/** Parse them. Throws UsageError for a quality beside a size, or more than one of a kind. */
export function parseQuality(
  { kld, pplRatio, budgets, sweep }: QualityRequest,
  budgetGiven: boolean,
): { target: QualityTarget | undefined; sweep: BudgetRequest[] | undefined } {
  if (kld !== undefined && pplRatio !== undefined) {
    throw new UsageError("--kld and --ppl-ratio: expected one quality, got two; drop one, or put it into --require");
  }
  if (budgets !== undefined && sweep) throw new UsageError("--budgets and --sweep: give one of them");
  const target = parseTarget(kld, pplRatio);
  if (target !== undefined && budgetGiven) {
    throw new UsageError("--kld and --ppl-ratio find the size; leave --bpw, --size and --like out");
  }
  const points = sweep ? presetBudgets() : budgets === undefined ? undefined : parseBudgets(budgets);
  return { target, sweep: points };
}

function parseTarget(kld: QualityRequest["kld"], pplRatio: QualityRequest["pplRatio"]): QualityTarget | undefined {
  if (kld !== undefined) {
    const limit = Number(kld);
    if (String(kld).trim() !== "" && limit > 0 && Number.isFinite(limit)) return { measure: "kld", limit };
    throw new UsageError(`--kld ${kld}: expected a mean KL divergence in nats above 0, like 0.05`);
  }
  if (pplRatio === undefined) return undefined;
  const limit = Number(pplRatio);
  if (limit > 1 && Number.isFinite(limit)) return { measure: "pplRatio", limit };
  throw new UsageError(`--ppl-ratio ${pplRatio}: expected a ratio above 1, like 1.02 for 2 % more than the reference`);
}

function presetBudgets(): BudgetRequest[] {
  return SWEEP_PRESETS.map((fileType) => ({ kind: "like", fileType, text: `--like ${fileType}` }));
}

function parseBudgets(budgets: readonly number[] | string): BudgetRequest[] {
  const texts = typeof budgets === "string" ? budgets.split(",") : budgets.map(String);
  const values = [...new Set(texts.map(parseBpw))].sort((a, b) => a - b);
  return values.map((value) => ({ kind: "bpw", value, text: `--bpw ${value}` }));
}
