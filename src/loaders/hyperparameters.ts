/**
 * The hyperparameters of a model as llama.cpp holds them while it loads (llama_hparams), and what it computes from them.
 * Names are llama.cpp's own, as in the tables.
 */
import type { Value } from "./expression.ts";

/** LLAMA_MAX_LAYERS (src/llama-hparams.h) bounds what a header's block_count can make this program do. */
export const MAX_LAYERS = 512;

const PER_LAYER = [
  "n_head_arr",
  "n_head_kv_arr",
  "n_ff_arr",
  "n_ff_exp_arr",
  "n_expert_used_arr",
  "is_swa_impl",
  "is_recr_impl",
  "is_indexer_full_impl",
  "is_ple_impl",
  "dsv4_compress_ratios",
] as const;

/** Those that don't begin at 0. */
const BEGINNINGS: Readonly<Record<string, number>> = {
  n_layer_kv_from_start: -1,
  router_layer: -1,
  n_cls_out: 1,
  n_no_rope_layer_step: 4,
  n_altup: 4,
  laurel_rank: 64,
  n_embd_altup: 256,
  token_shift_count: 2,
  kda_gate_lower_bound: Number.NEGATIVE_INFINITY,
};

export class Hyperparameters {
  readonly #scalars = new Map<string, Value>(Object.entries(BEGINNINGS));
  readonly #lists = new Map<string, number[]>(PER_LAYER.map((name) => [name, new Array<number>(MAX_LAYERS).fill(0)]));

  get(name: string): Value {
    return this.#lists.get(name) ?? this.#scalars.get(name) ?? 0;
  }

  set(name: string, value: Value): void {
    this.#scalars.set(name, value);
  }

  /** The values of a list that has one for each layer; undefined for a name that is none. */
  list(name: string): number[] | undefined {
    return this.#lists.get(name);
  }

  /** A method of llama_hparams, most of them for a layer, by default the first. Throws RangeError beyond the last. */
  call(name: string, layer = 0): number {
    switch (name) {
      case "n_layer":
        return this.number("n_layer_all") - this.number("n_layer_nextn");
      case "n_expert_used_max":
        return Math.max(0, ...this.#values("n_expert_used_arr").slice(0, this.number("n_layer_all")));
      case "n_embd_inp":
        return this.number("n_embd_inp_impl") || this.number("n_embd") * (1 + this.number("n_deepstack_layers"));
      case "n_embd_inp_enc":
        return this.number("n_embd_inp_enc_impl") || this.call("n_embd_inp");
      case "n_embd_out":
        return this.number("n_embd_out_impl") || this.number("n_embd");
      case "is_mla":
        return Number(this.number("n_embd_head_k_mla_impl") !== 0 && this.number("n_embd_head_v_mla_impl") !== 0);
      case "n_embd_head_k_mla":
      case "n_embd_head_v_mla":
        return this.call("is_mla") ? this.number(`${name}_impl`) : this.call(name.replace("_mla", ""));
      case "has_kv": {
        const first = this.number("n_layer_kv_from_start");
        return Number(first < 0 || layer < first);
      }
      default:
        return this.#ofLayer(name, layer);
    }
  }

  number(name: string): number {
    return Number(this.#scalars.get(name) ?? 0);
  }

  #ofLayer(name: string, layer: number): number {
    if (layer >= this.number("n_layer_all")) throw new RangeError(`there is no layer ${layer}`);
    const swa = (whole: string) => this.number(`${whole}_${this.#values("is_swa_impl")[layer] ? "swa" : "full"}`);
    switch (name) {
      case "n_head":
      case "n_head_kv":
      case "n_ff":
      case "n_ff_exp":
      case "n_expert_used":
        return this.#values(`${name}_arr`)[layer] ?? 0;
      case "is_swa":
      case "is_recr":
      case "is_indexer_full":
        return this.#values(`${name}_impl`)[layer] ?? 0;
      case "n_rot":
      case "n_embd_head_k":
      case "n_embd_head_v":
        return swa(name);
      case "n_embd_k_gqa":
        return swa("n_embd_head_k") * (this.#values("n_head_kv_arr")[layer] ?? 0);
      case "n_embd_v_gqa":
        return swa("n_embd_head_v") * (this.#values("n_head_kv_arr")[layer] ?? 0);
      default:
        throw new SyntaxError(`no hyperparameter ${name}()`);
    }
  }

  #values(name: string): number[] {
    return this.#lists.get(name) ?? [];
  }
}
