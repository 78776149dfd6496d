/** What a plan is asked, in the words of the command line and the library, and what the planner makes of them. */

import { createHash } from "node:crypto";
import { parseConstraint } from "../allocate/patterns.ts";
import type { Constraint } from "../allocate/problem.ts";
import { isRemote, shownName } from "../bytes/remote-name.ts";
import { readDocumentText } from "../documents/document-file.ts";
import { UsageError } from "../errors.ts";
import type { TensorType } from "../ggml/tensor-types.ts";
import { localCopy } from "../intake/local-copy.ts";
import type { Desk } from "../intake/open-named-model.ts";
import { type BudgetRequest, budgetFrom } from "../plan/budget.ts";
import type { GuardSwitches } from "../plan/guards.ts";
import { parseTypes } from "../plan/offered-types.ts";
import type { SensitivityMode } from "../sensitivity/sensitivity.ts";
import {
  DEFAULT_SENSITIVITY,
  parseSensitivity,
  parseSensitivityFile,
  unusedPrior,
} from "../sensitivity/sensitivity-modes.ts";
import { PRIOR, parsePrior } from "../sensitivity/sensitivity-prior.ts";
import { type VramRequest, type VramWish, vramOf } from "./vram-request.ts";

/** One of them says how large the file may be. */
export interface BudgetChoice {
  /** Bits per weight over all tensors. */
  readonly bpw?: number | string | undefined;
  /** Size of the file: bytes, or a text like 4.3GB or 4GiB. */
  readonly size?: number | string | undefined;
  /** The preset whose size it is, like Q3_K_M. */
  readonly like?: string | undefined;
}

export interface PlanningRequest extends BudgetChoice, VramRequest {
  /** `tensor`: each its own type; `class`: one type per tensor class, then refined. */
  readonly mode?: string | undefined;
  /** What a weight's error costs: the name of a mode, or the path of a JSON file. */
  readonly sensitivity?: string | undefined;
  /** Path of a prior (prism prior add) in the place of the one that comes with PRISM. */
  readonly prior?: string | undefined;
  /** Constraints like "attn_v=Q6_K"; the pattern is found anywhere in a tensor's name. */
  readonly pin?: readonly string[] | undefined;
  readonly floor?: readonly string[] | undefined;
  readonly ban?: readonly string[] | undefined;
  /** Patterns whose tensors get one common type. */
  readonly tie?: readonly string[] | undefined;
  /** The only types that may be chosen, like "Q4_K" or "Q4_K,Q6_K". */
  readonly types?: readonly string[] | string | undefined;
  /** Choose no type that is slow on this machine, as it was measured here (prism doctor --types). */
  readonly preferSpeed?: boolean | undefined;
  /** false switches a guard off. */
  readonly guards?: GuardSwitches | undefined;
  /** Path of an importance matrix. */
  readonly imatrix?: string | undefined;
  /** Read every weight for the metrics, or for the distortion too. */
  readonly exact?: Exact | undefined;
  /** Refuse a model in which preflight finds errors or warnings. */
  readonly strict?: boolean | undefined;
  /** Go on with a model that llama.cpp does not load. */
  readonly forceFindings?: boolean | undefined;
}

export type Exact = "metrics" | "distortion";

export function exactOf(exact: Exact | undefined): { exactMetrics: boolean; exactDistortion: boolean } {
  return { exactMetrics: exact !== undefined, exactDistortion: exact === "distortion" };
}

/** The budget that is asked for; undefined where none is, or a GPU's memory. Throws UsageError for more than one. */
export function budgetOf({ bpw, size, like, vram }: BudgetChoice & VramRequest): BudgetRequest | undefined {
  const given = Object.entries({ bpw, size, like, vram }).filter(([, value]) => value !== undefined);
  if (given.length > 1) {
    const options = given.map(([name, value]) => `--${name} ${value}`);
    throw new UsageError(`${options.join(" and ")}: expected one budget, got ${given.length}; drop all but one`);
  }
  const [only] = given as ["bpw" | "size" | "like", number | string][];
  if (only === undefined || vram !== undefined) return undefined;
  const [option, value] = only;
  return budgetFrom(option, typeof value === "number" && option === "size" ? `${value}` : String(value));
}

/** The same where one is needed. Throws UsageError without one. */
export function requireBudget(choice: BudgetChoice & VramRequest): BudgetRequest | VramWish {
  const memory = vramOf(choice);
  const budget = budgetOf(choice) ?? memory;
  if (budget !== undefined) return budget;
  throw new UsageError("a budget is needed: --bpw 3.5, --size 4.3GB, --like Q3_K_M, or --vram 6GB --ctx 8192");
}

export function modeOf({ mode = "tensor" }: Pick<PlanningRequest, "mode">): "tensor" | "class" {
  if (mode === "tensor" || mode === "class") return mode;
  throw new UsageError(`--mode ${mode}: expected tensor or class`);
}

export function constraintsOf(request: PlanningRequest): Constraint[] {
  return (["pin", "floor", "ban", "tie"] as const).flatMap((kind) =>
    (request[kind] ?? []).map((text) => parseConstraint(kind, text)),
  );
}

/** The types that alone may be chosen, smallest first; undefined where all may. Throws UsageError. */
export function typesOf({ types }: Pick<PlanningRequest, "types">): readonly TensorType[] | undefined {
  return types === undefined ? undefined : parseTypes(typeof types === "string" ? [types] : types);
}

export interface NamedSensitivity {
  /** Of one that was read from a file. */
  readonly path?: string;
  /** Stands for it in documents: of a file, which may change under its name, a hash. */
  readonly name: string;
  readonly of: SensitivityMode;
}

/**
 * Find a mode by its name, or read the file that holds one; `desk` keeps what is fetched of a remote one. Throws
 * UsageError, FileError, FormatError.
 */
export async function loadSensitivity(
  { sensitivity: mode = DEFAULT_SENSITIVITY, prior: path }: Pick<PlanningRequest, "sensitivity" | "prior">,
  desk?: () => Promise<Desk>,
): Promise<NamedSensitivity> {
  if (/[./\\]/.test(mode)) {
    if (path !== undefined) throw unusedPrior(mode);
    const file = desk !== undefined && isRemote(mode) ? (await localCopy(mode, await desk())).path : mode;
    const text = await readDocumentText(file);
    return {
      path: file,
      name: `densities of SHA-256 ${hashOf(text)}`,
      of: parseSensitivityFile(shownName(mode), text),
    };
  }
  if (path === undefined) return { name: mode, of: parseSensitivity(mode) };
  const text = await readDocumentText(path, PRIOR);
  const of = parseSensitivity(mode, parsePrior(path, text));
  return { path, name: `${mode} by the prior of SHA-256 ${hashOf(text)}`, of };
}

function hashOf(text: string): string {
  return createHash("sha256").update(text).digest("hex");
}
