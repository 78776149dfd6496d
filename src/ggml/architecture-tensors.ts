/**
 * The tensors that llama.cpp v0.5.0 requires and accepts, for the architectures people meet most, from load_arch_tensors
 * of src/models/<architecture>.cpp. A file that lacks a required tensor, or has one more than was asked for, is refused
 * ("missing tensor", "wrong number of tensors"). Architectures that are not here are not checked.
 *
 * A rule is a list of names; `|` separates alternatives of which one must be complete, a final `?` makes all optional. A
 * name stands for its .weight unless it has a suffix of its own; `=` marks a name without suffix.
 */

interface TensorTable {
  readonly model: readonly string[];
  readonly layer: readonly string[];
  /** Besides those of a layer, in the MTP layers at the end. */
  readonly nextn?: readonly string[];
}

const DECODER_ENDS = ["token_embd", "output_norm", "output?"];
const ROPE = ["rope_freqs?", "rope_factors_long?", "rope_factors_short?"];
/** create_tensor_qkv of src/llama-model.cpp. */
const QKV = ["attn_q attn_k attn_v | attn_qkv", "attn_qkv.bias attn_q.bias attn_k.bias attn_v.bias?"];
const QK_NORM = ["attn_q_norm attn_k_norm"];
const DENSE = ["ffn_gate ffn_down ffn_up"];
const DENSE_BIAS = ["ffn_gate.bias ffn_down.bias ffn_up.bias?"];
const EXPERTS = "ffn_gate_inp ffn_gate_exps ffn_down_exps ffn_up_exps";
const FUSED_EXPERTS = "ffn_gate_inp ffn_gate_up_exps ffn_down_exps";
const SHARED = "ffn_gate_shexp ffn_down_shexp ffn_up_shexp";
const NEXTN = [
  "nextn.eh_proj nextn.enorm nextn.hnorm",
  "nextn.embed_tokens nextn.shared_head_head nextn.shared_head_norm?",
];

const LLAMA: TensorTable = {
  model: [...DECODER_ENDS, ...ROPE],
  layer: [
    "attn_norm",
    ...QKV,
    "attn_output",
    "attn_output.bias?",
    "ffn_norm",
    `ffn_gate ffn_down ffn_up | ${EXPERTS} | ffn_gate_inp ffn_down_exps ffn_up_exps`,
    ...DENSE_BIAS,
    `${SHARED}?`,
  ],
};
const QWEN3: TensorTable = {
  model: [...DECODER_ENDS, "cls.output?"],
  layer: ["attn_norm", ...QKV, "attn_output", ...QK_NORM, "ffn_norm", ...DENSE],
};
const QWEN3_MOE: TensorTable = {
  model: DECODER_ENDS,
  layer: ["attn_norm", ...QKV, "attn_output", ...QK_NORM, "ffn_norm", EXPERTS],
};
const FULL_ATTENTION = "attn_q attn_k attn_v attn_output attn_q_norm attn_k_norm";
const DELTA_NET =
  "attn_qkv attn_gate ssm_conv1d ssm_dt.bias =ssm_a ssm_beta ssm_alpha ssm_norm ssm_out | attn_qkv attn_output attn_q_norm attn_k_norm";
const QWEN35_LAYER = ["attn_norm post_attention_norm", `${FULL_ATTENTION} | ${DELTA_NET}`, QKV[1] as string];
const GEMMA_NORMS = ["attn_norm post_attention_norm ffn_norm post_ffw_norm"];

const TABLES: Readonly<Record<string, TensorTable>> = {
  llama: LLAMA,
  mistral3: LLAMA,
  qwen2: {
    model: [...DECODER_ENDS, "output.bias?"],
    layer: ["attn_norm", ...QKV, "attn_output", "ffn_norm", ...DENSE],
  },
  qwen3: QWEN3,
  qwen3vl: QWEN3,
  qwen3moe: QWEN3_MOE,
  qwen3vlmoe: QWEN3_MOE,
  qwen35: { model: DECODER_ENDS, layer: [...QWEN35_LAYER, ...DENSE], nextn: NEXTN },
  qwen35moe: {
    model: DECODER_ENDS,
    layer: [...QWEN35_LAYER, `${EXPERTS} | ${FUSED_EXPERTS}`, `ffn_gate_inp_shexp ${SHARED}`],
    nextn: NEXTN,
  },
  gemma2: { model: ["token_embd", "output_norm"], layer: [...GEMMA_NORMS, ...QKV, "attn_output", ...DENSE] },
  gemma3: {
    model: [...DECODER_ENDS, "dense_2 dense_3?"],
    layer: [...GEMMA_NORMS, ...QKV, "attn_output", ...QK_NORM, ...DENSE],
  },
  gpt2: {
    model: ["token_embd position_embd output_norm output_norm.bias", "output?"],
    layer: [
      "attn_norm attn_norm.bias attn_qkv attn_qkv.bias attn_output attn_output.bias",
      "ffn_norm ffn_norm.bias ffn_down ffn_down.bias ffn_up ffn_up.bias",
    ],
  },
  bert: {
    model: [
      "token_embd position_embd token_embd_norm token_embd_norm.bias",
      "token_types cls cls.bias cls.output cls.output.bias?",
    ],
    layer: [
      ...QKV,
      "attn_output attn_output_norm attn_output_norm.bias",
      "ffn_up ffn_down layer_output_norm layer_output_norm.bias",
      "attn_output.bias ffn_up.bias ffn_down.bias?",
    ],
  },
  deepseek2: {
    model: DECODER_ENDS,
    layer: [
      "attn_norm attn_kv_a_mqa attn_kv_a_norm attn_output ffn_norm",
      "attn_q_a attn_q_a_norm attn_q_b | attn_q",
      "attn_k_b attn_v_b | attn_kv_b",
      `ffn_gate ffn_down ffn_up | ${EXPERTS} ${SHARED} | ${FUSED_EXPERTS} ${SHARED}`,
      "exp_probs_b.bias?",
    ],
    nextn: NEXTN,
  },
  glm4moe: {
    model: DECODER_ENDS,
    layer: [
      "attn_norm post_attention_norm attn_output",
      ...QKV,
      "attn_q_norm attn_k_norm?",
      `ffn_gate ffn_down ffn_up | ${EXPERTS} exp_probs_b.bias`,
      `${SHARED}?`,
    ],
    nextn: NEXTN,
  },
};

export interface TensorDifferences {
  /** Required names that are not there. */
  readonly missing: readonly string[];
  /** Names that the architecture does not know. */
  readonly extra: readonly string[];
}

/** Whether the architecture has a table. */
export function hasTensorTable(arch: string): boolean {
  return Object.hasOwn(TABLES, arch);
}

/** Whether the architecture can have MTP layers, of those with a table. */
export function takesNextn(arch: string): boolean {
  return Object.hasOwn(TABLES, arch) && TABLES[arch]?.nextn !== undefined;
}

/**
 * Compare the names of a model's tensors with what its architecture needs. Layers that have no tensor at all are not
 * compared, and of the last `nextnLayers` only unknown names are told. Undefined for an architecture without a table.
 */
export function tensorDifferences(
  arch: string,
  names: readonly string[],
  layers: { readonly count: number; readonly nextn: number },
): TensorDifferences | undefined {
  const table = hasTensorTable(arch) ? TABLES[arch] : undefined;
  if (table === undefined) return undefined;
  const groups = groupByLayer(names);
  const missing: string[] = [];
  const extra: string[] = [];
  for (const [layer, present] of groups) {
    const isNextn = layer !== undefined && layer >= layers.count - layers.nextn;
    const rules = layer === undefined ? table.model : table.layer;
    const known = knownNames(isNextn ? [...rules, ...(table.nextn ?? [])] : rules);
    const full = (name: string) => (layer === undefined ? name : `blk.${layer}.${name}`);
    if (!isNextn) missing.push(...rules.flatMap((rule) => missingOf(rule, present)).map(full));
    extra.push(...[...present].filter((name) => !known.has(withoutScale(name))).map(full));
  }
  return { missing, extra };
}

/** Names without their `blk.N.`, by layer; undefined is the model itself. */
function groupByLayer(names: readonly string[]): Map<number | undefined, Set<string>> {
  const groups = new Map<number | undefined, Set<string>>([[undefined, new Set()]]);
  for (const name of names) {
    const match = /^blk\.(\d{1,9})\.(.*)$/s.exec(name);
    const layer = match === null ? undefined : Number(match[1]);
    const group = groups.get(layer) ?? new Set<string>();
    groups.set(layer, group.add(match?.[2] ?? name));
  }
  return groups;
}

/** What the alternative that is nearest to complete still lacks. */
function missingOf(rule: string, present: ReadonlySet<string>): string[] {
  if (rule.endsWith("?")) return [];
  const lacks = alternatives(rule).map((alternative) => ({
    alternative,
    absent: alternative.filter((name) => !present.has(name)),
  }));
  lacks.sort((a, b) => b.alternative.length - b.absent.length - (a.alternative.length - a.absent.length));
  return lacks.some(({ absent }) => absent.length === 0) ? [] : (lacks[0]?.absent ?? []);
}

function knownNames(rules: readonly string[]): Set<string> {
  return new Set(rules.flatMap((rule) => alternatives(rule).flat()));
}

function alternatives(rule: string): string[][] {
  return rule
    .replace(/\?$/, "")
    .split("|")
    .map((names) => names.trim().split(/\s+/).map(fullName));
}

function fullName(name: string): string {
  if (name.startsWith("=")) return name.slice(1);
  return /\.(weight|bias)$/.test(name) ? name : `${name}.weight`;
}

/** NVFP4 weights have a scale beside them (load_tensors of src/llama-model.cpp). */
function withoutScale(name: string): string {
  return name.replace(/\.(input_)?scale$/, ".weight");
}
