/**
 * evaluate.sh: proof with llama-perplexity: logits of the reference once, then PPL and KL divergence of each model. Of models
 * that give hidden states, which it can't read, proof with prism.
 */
import type { FileType } from "../ggml/file-types.ts";
import { givesHiddenStates } from "../ggml/model-facts.ts";
import { pathArgument, quoteSh } from "../shell-quote.ts";
import type { Plan } from "./plan.ts";
import { printable } from "./printable.ts";
import { defaultOutput, quantizeFlagsSh, sourceArgument } from "./quantize-arguments.ts";
import { describePlan, type RecipeOptions } from "./recipe-sh.ts";

export interface EvaluateScriptOptions extends RecipeOptions {
  /** Stock presets to compare with; those not there yet are quantized from the source. Default: the nearest in size. */
  readonly baselines?: readonly FileType[];
  /** Tokens per chunk. Default: 512, or the model's own context if smaller. */
  readonly context?: number;
}

/** Context of llama-perplexity that published numbers use, tokens. */
const DEFAULT_CONTEXT = 512;

/** Render evaluate.sh: `sh evaluate.sh TEXT [REFERENCE [MODEL]]`; without the text for models that give hidden states. */
export function renderEvaluateSh(plan: Plan, options: EvaluateScriptOptions = {}): string {
  const baselines = options.baselines ?? [plan.baseFileType];
  if (givesHiddenStates(plan.facts)) return renderByPrism(plan, options, baselines);
  const trained = plan.facts.contextTrain > 0 ? plan.facts.contextTrain : DEFAULT_CONTEXT;
  const context = options.context ?? Math.min(DEFAULT_CONTEXT, trained);
  const lines = [
    "#!/bin/sh",
    `# ${printable(describePlan(plan))}`,
    "# usage: sh evaluate.sh TEXT [REFERENCE.gguf [MODEL.gguf]]; LLAMA_PERPLEXITY and LLAMA_QUANTIZE name the programs",
    "# the logits of the reference take 2 bytes per vocabulary entry and scored token: LOGITS says where they go",
    "set -eu",
    `text=\${1:?"usage: sh evaluate.sh TEXT [REFERENCE.gguf [MODEL.gguf]]"}`,
    `reference=${quoteSh(sourceArgument(plan))}`,
    `model=${quoteSh(pathArgument(options.output ?? defaultOutput(plan)))}`,
    'if [ "$#" -ge 2 ]; then reference=$2; fi',
    'if [ "$#" -ge 3 ]; then model=$3; fi',
    // named after the text: logits of another text would be taken for these
    `logits=\${LOGITS:-"$reference.$(cksum <"$text" | cut -d " " -f 1).c${context}.logits"}`,
    `perplexity() { "\${LLAMA_PERPLEXITY:-llama-perplexity}" "$@"; }`,
    `quantize() { "\${LLAMA_QUANTIZE:-llama-quantize}" "$@"; }`,
    'if ! [ -e "$logits" ]; then',
    `  perplexity -m "$reference" -f "$text" -c ${context} --kl-divergence-base "$logits.partial"`,
    '  mv "$logits.partial" "$logits"',
    "fi",
    compare("model", context),
    ...baselineLines(plan, baselines, compare("baseline", context)),
  ];
  return `${lines.join("\n")}\n`;
}

/** Scores or vectors of the model and of each preset against the reference's. */
function renderByPrism(plan: Plan, options: EvaluateScriptOptions, baselines: readonly FileType[]): string {
  const lines = [
    "#!/bin/sh",
    `# ${printable(describePlan(plan))}`,
    "# usage: sh evaluate.sh [REFERENCE.gguf [MODEL.gguf]]; PRISM and LLAMA_QUANTIZE name the programs",
    "set -eu",
    `reference=${quoteSh(sourceArgument(plan))}`,
    `model=${quoteSh(pathArgument(options.output ?? defaultOutput(plan)))}`,
    'if [ "$#" -ge 1 ]; then reference=$1; fi',
    'if [ "$#" -ge 2 ]; then model=$2; fi',
    `prism() { "\${PRISM:-prism}" "$@"; }`,
    `quantize() { "\${LLAMA_QUANTIZE:-llama-quantize}" "$@"; }`,
    'prism evaluate "$model" --reference "$reference"',
    ...baselineLines(plan, baselines, 'prism evaluate "$baseline" --reference "$reference"'),
  ];
  return `${lines.join("\n")}\n`;
}

/** Each preset is made where it is not there yet, and judged like the model. */
function baselineLines(plan: Plan, baselines: readonly FileType[], judge: string): string[] {
  const flags = quantizeFlagsSh(plan);
  return baselines.flatMap((preset) => [
    `baseline="\${model%.gguf}.${preset}.gguf"`,
    'if ! [ -e "$baseline" ]; then',
    `  quantize ${[...flags, `"$reference" "$baseline.partial" ${preset}`].join(" ")}`,
    '  mv "$baseline.partial" "$baseline"',
    "fi",
    judge,
  ]);
}

function compare(variable: string, context: number): string {
  return `perplexity -m "$${variable}" --kl-divergence-base "$logits" --kl-divergence -c ${context}`;
}
