/** The options of everything that plans: budget, mode, sensitivity, constraints. */
import type { Command } from "commander";
import { DEFAULT_CONTEXT } from "../footprint/context-size.ts";
import type { GuardSwitches } from "../plan/guards.ts";
import { DEFAULT_SENSITIVITY, SENSITIVITY_CHOICES } from "../sensitivity/sensitivity-modes.ts";
import type { PlanningRequest } from "../verbs/planning-request.ts";
import { collect } from "./options.ts";

/** Add them to a command. `imatrix`: what --imatrix is there. */
export function addPlanningOptions(command: Command, imatrix: string): Command {
  return command
    .option("--bpw <bits>", "budget: bits per weight over all tensors, like 3.5")
    .option("--size <size>", "budget: size of the file, like 4.3GB (10^9 bytes) or 4GiB (2^30)")
    .option("--like <filetype>", "budget: the size this preset would have, like Q3_K_M")
    .option("--vram <size>", "budget: what fits this memory of a GPU with the context, like 6GB (docs/memory.md)")
    .option("--ram <size>", "with --vram: experts stay in so much memory of the machine, with a budget of their own")
    .option("--ctx <tokens>", `with --vram: tokens of context, of all sequences (default: ${DEFAULT_CONTEXT})`)
    .option("--kv <type>", "with --vram: type of keys and values, like q8_0, or of each: q8_0,q4_0 (default: f16)")
    .option("--parallel <n>", "with --vram: sequences at a time, which share the context out (default: 1)")
    .option("--mmproj <file>", "with --vram: the projector that is loaded beside the model")
    .option("--mode <mode>", "tensor: each its own type; class: one type per tensor class, then refined", "tensor")
    .option(
      "--sensitivity <mode>",
      `what a weight's error costs: ${SENSITIVITY_CHOICES}, or a JSON file, here or hf:owner/repo/probes.json`,
      DEFAULT_SENSITIVITY,
    )
    .option("--prior <file>", "a prior of your own (prism prior add) in the place of the one that comes with PRISM")
    .option("--pin <RE=TYPE>", "give the tensors that match this type (repeatable)", collect)
    .option("--floor <RE=TYPE>", "give them at least the bits of this type (repeatable)", collect)
    .option("--ban <RE=TYPE>", "don't give them this type (repeatable)", collect)
    .option("--tie <RE>", "give the tensors that match one common type (repeatable)", collect)
    .option("--types <list>", "choose among these types alone, like Q4_K,Q6_K,Q8_0 (a pin may name others)", collect)
    .option("--prefer-speed", "choose no types that are slow on this machine; measured once, in about two minutes")
    .option("--no-guards", "none of the guards (docs/guards.md)")
    .option("--no-head-guard", "let the output head be smaller than in the preset of this size")
    .option("--no-noise-guard", "allow types of less than 9 dB of signal over noise")
    .option("--no-small-guard", "no Q8_0 for classes with next to none of the weights")
    .option("--no-mtp-guard", "let MTP blocks be smaller than Q6_K")
    .option("--imatrix <file>", imatrix);
}

/** What commander makes of them. */
export interface PlanningOptions extends Omit<PlanningRequest, "guards"> {
  /** commander's names for --no-guards, --no-head-guard and so on. */
  readonly guards: boolean;
  readonly headGuard: boolean;
  readonly noiseGuard: boolean;
  readonly smallGuard: boolean;
  readonly mtpGuard: boolean;
}

/** The request that the options stand for. */
export function planningRequest<Options extends PlanningOptions>({ guards, ...options }: Options) {
  const { headGuard, noiseGuard, smallGuard, mtpGuard, ...rest } = options;
  const switches: GuardSwitches = {
    head: guards && headGuard,
    noise: guards && noiseGuard,
    small: guards && smallGuard,
    mtp: guards && mtpGuard,
  };
  return { ...rest, guards: switches };
}
