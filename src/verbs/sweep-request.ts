/** What a run may be asked instead of a size: a quality, a family of sizes, or a sweep over them. */
import { parseBpw, parseSize } from "../allocate/budget.ts";
import { UsageError } from "../errors.ts";
import { FILE_TYPE_NAMES, type FileType, parseFileType } from "../ggml/file-types.ts";
import type { BudgetRequest } from "../plan/budget.ts";
import type { QualityTarget } from "../run/quality-target.ts";

export interface QualityRequest {
  /** Find the smallest file whose KL divergence is at most this. */
  readonly kld?: number | string | undefined;
  /** Find the smallest file whose perplexity is at most this times the reference's. */
  readonly pplRatio?: number | string | undefined;
  /** Make a file at each of these: bits per weight, or what `sizes` takes. */
  readonly budgets?: readonly (number | string)[] | string | undefined;
  /** Make a file at each of these: sizes like 4.3GB, names of presets, or bits per weight like 3.5bpw. */
  readonly sizes?: readonly (number | string)[] | string | undefined;
  /** Measure plans at the sizes of SWEEP_PRESETS, and keep the file of none but the knee. */
  readonly sweep?: boolean | undefined;
}

/** The presets whose sizes a sweep takes: from the smallest that works without an imatrix to the largest in use. */
export const SWEEP_PRESETS: readonly FileType[] = ["Q2_K", "Q3_K_M", "IQ4_XS", "Q4_K_M", "Q5_K_M", "Q6_K"];

export interface Quality {
  readonly target: QualityTarget | undefined;
  readonly sweep: BudgetRequest[] | undefined;
  /** The file of each budget of the sweep is kept. */
  readonly family: boolean;
}

/** Parse them. Throws UsageError for a quality beside a size, or more than one of a kind. */
export function parseQuality({ kld, pplRatio, budgets, sizes, sweep }: QualityRequest, budgetGiven: boolean): Quality {
  if (kld !== undefined && pplRatio !== undefined) {
    throw new UsageError("--kld and --ppl-ratio: expected one quality, got two; drop one, or put it into --require");
  }
  const isFamily = budgets !== undefined || sizes !== undefined;
  if (isFamily && sweep) {
    throw new UsageError(
      "--sweep draws a front and keeps no files, --budgets and --sizes keep them; give one of the two",
    );
  }
  const target = parseTarget(kld, pplRatio);
  if (target !== undefined && budgetGiven) {
    throw new UsageError("--kld and --ppl-ratio find the size; leave --bpw, --size, --like and --vram out");
  }
  if (!isFamily) return { target, sweep: sweep ? presetBudgets() : undefined, family: false };
  const points = [...parseSizes("--budgets", budgets), ...parseSizes("--sizes", sizes)];
  return { target, sweep: inOrder(points), family: true };
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

function parseSizes(option: SizesOption, given: QualityRequest["sizes"] = []): BudgetRequest[] {
  const texts = typeof given === "string" ? given.split(",") : given.map(String);
  return texts.map((text) => parseMember(option, text.trim()));
}

/** In one order however they were typed, each once: the same sizes are the same run. */
function inOrder(budgets: readonly BudgetRequest[]): BudgetRequest[] {
  const once = budgets.filter(({ text }, index) => budgets.findIndex((other) => other.text === text) === index);
  const amount = (budget: BudgetRequest) =>
    budget.kind === "like" ? FILE_TYPE_NAMES.indexOf(budget.fileType) : budget.value;
  return once.sort((a, b) => a.kind.localeCompare(b.kind, "en") || amount(a) - amount(b));
}

type SizesOption = "--budgets" | "--sizes";

const PLAIN_NUMBER = /^(\d+(\.\d*)?|\.\d+)$/;
/** Bits per weight are below it, sizes of files above. */
const LEAST_PLAIN_BYTES = 1000;

function parseMember(option: SizesOption, word: string): BudgetRequest {
  const fileType = parseFileType(word);
  if (fileType !== undefined) return { kind: "like", fileType, text: `--like ${fileType}` };
  const isPlain = PLAIN_NUMBER.test(word);
  if (/bpw$/i.test(word) || (isPlain && option === "--budgets")) {
    const value = parseBpw(word);
    return { kind: "bpw", value, text: `--bpw ${value}` };
  }
  if (isPlain && Number(word) < LEAST_PLAIN_BYTES) {
    throw new UsageError(`${option} ${word}: of what? Write ${word}GB for a size, or ${word}bpw for bits per weight`);
  }
  if (/^[\d.]/.test(word)) return { kind: "fileBytes", value: parseSize(word), text: `--size ${word}` };
  throw new UsageError(
    `${option} "${word}": expected a size like 4.3GB, bits per weight like 3.5bpw, or a preset like Q4_K_M`,
  );
}
