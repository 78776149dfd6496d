/**
 * A model's header → what llama.cpp would say of it while it loads: the table of its architecture, run over the keys and
 * the tensors that are there. Nothing is read but the header.
 */
import { contextRefusal, isRecurrent } from "./context-rules.ts";
import { isTrue, type Scope, type Value } from "./expression.ts";
import { Hyperparameters, MAX_LAYERS } from "./hyperparameters.ts";
import { askJoined, TENSOR_FLAGS } from "./joined-tensors.ts";
import { type KeyFault, type KeyReader, readKey } from "./key-faults.ts";
import { everyModel, type LoaderTable, loaderTable, type Statement, type TensorStatement } from "./loader-table.ts";

/** Rounds of a loop: what a header counts can be made up, and no model has as many. */
const MAX_ROUNDS = 4096;

/** What the tables ask a header. */
export interface LoadedHeader extends KeyReader {
  readonly arch: string;
  /** Of the vocabulary: tokens, and kinds of tokens (BERT's). */
  readonly tokens: number;
  readonly tokenTypes: number;
  /** ne of a tensor, innermost first; undefined where there is none. */
  shape(name: string): readonly number[] | undefined;
}

/** A tensor that the loader asks for. */
export interface AskedTensor {
  readonly name: string;
  readonly shape: readonly number[];
  /** The shape in llama.cpp's names of hyperparameters. */
  readonly terms: string;
  readonly optional: boolean;
  /** Only the number of elements must agree. */
  readonly reshaped: boolean;
  /** Of an MTP layer, which is not loaded unless it is asked for. */
  readonly unused: boolean;
}

export interface LoaderReport {
  readonly keys: readonly KeyFault[];
  /** Why llama.cpp ends the load, where a value is out of its range. */
  readonly refusal?: string;
  /** In the order in which they are asked for; empty where the hyperparameters end the load. */
  readonly tensors: readonly AskedTensor[];
  /** All tensors were asked for. */
  readonly complete: boolean;
  /** As llama.cpp holds them once the model is loaded, where `complete`. */
  readonly hyperparameters: Hyperparameters;
}

class Refusal extends Error {}
/** How a block was left before its end. */
type Leave = "next" | "return" | undefined;

/** Run the table of the header's architecture; undefined for one that llama.cpp does not load. */
export function runLoader(header: LoadedHeader): LoaderReport | undefined {
  const table = loaderTable(header.arch);
  if (table === undefined) return undefined;
  return new LoaderRun(header).run(table);
}

class LoaderRun implements Scope {
  readonly #header: LoadedHeader;
  readonly #h = new Hyperparameters();
  readonly #variables = new Map<string, Value>();
  readonly #keys: KeyFault[] = [];
  readonly #tensors: AskedTensor[] = [];
  /** Which layers have a sliding window was asked for. */
  #readsWindows = false;

  constructor(header: LoadedHeader) {
    this.#header = header;
    const { arch } = header;
    for (const [name, flag] of Object.entries(TENSOR_FLAGS)) this.#variables.set(name, flag);
    this.#variables
      .set("arch", arch)
      .set("is_recurrent", Number(isRecurrent(arch)))
      .set("load_mtp", 0)
      .set("true", 1);
  }

  run(table: LoaderTable): LoaderReport {
    let refusal: string | undefined;
    let complete = false;
    try {
      this.#block(everyModel().hyperparameters);
      this.#block(table.hyperparameters);
      if (this.#keys.every(({ usable }) => usable)) {
        this.#setLocals();
        this.#block(table.tensors);
        const why = contextRefusal(this.#header.arch, this.#h, { readsWindows: this.#readsWindows });
        if (why !== undefined) throw new Refusal(why);
        complete = true;
      }
    } catch (error) {
      if (!(error instanceof Refusal || error instanceof RangeError)) throw error;
      if (error.message !== "") refusal = error.message;
    }
    return {
      keys: this.#keys,
      ...(refusal !== undefined && { refusal }),
      tensors: this.#tensors,
      complete,
      hyperparameters: this.#h,
    };
  }

  variable(name: string): Value {
    if (name.startsWith("h.")) return this.#h.get(name.slice(2));
    return this.#variables.get(name) ?? 0;
  }

  call(name: string, args: readonly Value[]): Value {
    const [first = 0, second = 0] = args;
    if (name.startsWith("h.")) return this.#h.call(name.slice(2), Number(first));
    switch (name) {
      case "has":
        return Number(this.#header.shape(String(first)) !== undefined);
      case "dim":
        return this.#header.shape(String(first))?.[Number(second)] ?? (args.length > 1 ? 1 : 0);
      case "size":
        return typeof first === "number" ? 0 : first.length;
      case "max":
        return Math.max(Number(first), Number(second));
      default:
        throw new SyntaxError(`no function ${name}`);
    }
  }

  /** LLAMA_LOAD_LOCALS of src/llama-model.h. */
  #setLocals(): void {
    const { tokens, tokenTypes } = this.#header;
    for (const name of ["n_layer", "n_head", "n_head_kv", "n_embd_k_gqa", "n_embd_v_gqa", "n_embd_head_k"]) {
      this.#variables.set(name, this.#h.call(name));
    }
    for (const name of ["n_embd_head_v", "n_ff", "n_rot", "n_expert_used"])
      this.#variables.set(name, this.#h.call(name));
    for (const name of ["n_layer_all", "n_layer_nextn", "n_embd", "n_expert", "n_ctx_train"]) {
      this.#variables.set(name, this.#h.number(name));
    }
    this.#variables.set("n_embd_gqa", this.#h.call("n_embd_v_gqa"));
    this.#variables.set("n_vocab", tokens).set("n_token_types", tokenTypes);
  }

  #block(statements: readonly Statement[]): Leave {
    for (const statement of statements) {
      const leave = this.#do(statement);
      if (leave !== undefined) return leave;
    }
    return undefined;
  }

  #do(statement: Statement): Leave {
    switch (statement.do) {
      case "key":
      case "list":
      case "each":
      case "length":
        this.#key(statement);
        return undefined;
      case "tensor":
        this.#tensor(statement);
        return undefined;
      case "let":
        this.#let(statement.name, statement.value.evaluate(this), statement.index?.evaluate(this));
        return undefined;
      case "fill":
        this.#h.list(statement.name.slice(2))?.fill(Number(statement.value.evaluate(this)));
        return undefined;
      case "if":
        return this.#block(isTrue(statement.condition.evaluate(this)) ? statement.yes : statement.no);
      case "for":
        return this.#for(statement);
      case "refuse":
        if (isTrue(statement.condition.evaluate(this))) throw new Refusal(statement.message);
        return undefined;
      case "swa_pattern":
      case "set_swa_pattern":
        this.#pattern(statement);
        return undefined;
      case "next":
      case "return":
        return statement.do;
      default:
        askJoined(statement, this, (...asked) => this.#ask(...asked));
        return undefined;
    }
  }

  #for({ name, from, to, body }: Extract<Statement, { do: "for" }>): Leave {
    const [first, last] = [Number(from.evaluate(this)), Number(to.evaluate(this))];
    if (last - first > MAX_ROUNDS) throw new Refusal(`there can't be ${last} of what ${to.text} counts`);
    for (let value = first; value < last; value++) {
      this.#variables.set(name, value);
      if (this.#block(body) === "return") return "return";
    }
    return undefined;
  }

  #let(name: string, value: Value, index: Value | undefined): void {
    if (index !== undefined) {
      const list = this.#h.list(name.slice(2));
      if (list !== undefined && Number(index) < MAX_LAYERS) list[Number(index)] = Number(value);
    } else if (name.startsWith("h.")) this.#h.set(name.slice(2), value);
    else this.#variables.set(name, value);
  }

  #key(statement: Extract<Statement, { key: string }>): void {
    const { into = "", count, found } = statement;
    const list = this.#h.list(into.replace("h.", ""));
    this.#readsWindows ||= into === "h.is_swa_impl";
    const wanted = count === undefined ? undefined : Number(count.evaluate(this));
    const { value, fault } = readKey(this.#header, statement, wanted);
    // what nothing else is computed from leaves the rest to be looked at
    const usable = fault?.usable === true || into === "";
    if (fault !== undefined) this.#keys.push({ ...fault, usable });
    if (found !== undefined) this.#variables.set(found, Number(value !== undefined));
    if (value === undefined) {
      if (fault !== undefined && !usable) throw new Refusal("");
      return;
    }
    if (list === undefined) this.#let(into, value, undefined);
    else if (typeof value === "object") for (const [layer, each] of value.entries()) list[layer] = Number(each);
    else list.fill(Number(value), 0, wanted);
  }

  #pattern({ do: kind, period, denseFirst }: Extract<Statement, { period: unknown }>): void {
    this.#readsWindows ||= kind === "swa_pattern";
    let every = Number(period.evaluate(this));
    if (kind === "swa_pattern") {
      const key = { key: "~attention.sliding_window_pattern", type: "u32", optional: true } as const;
      const list = readKey(this.#header, { ...key, do: "list", into: "h.is_swa_impl" }, undefined);
      if (list.fault === undefined && typeof list.value === "object") {
        for (const [layer, each] of list.value.entries()) this.#let("h.is_swa_impl", each, layer);
        return;
      }
      const one = readKey(this.#header, { ...key, do: "key" }, undefined);
      const fault = list.fault ?? one.fault;
      if (fault !== undefined) this.#keys.push(fault);
      if (one.value !== undefined) every = Number(one.value);
    }
    const layers = this.#h.call("n_layer");
    for (let layer = 0; layer < this.#h.number("n_layer_all"); layer++) {
      const slides = every === 0 || (denseFirst ? layer % every !== 0 : layer % every < every - 1);
      this.#let("h.is_swa_impl", Number(layer < layers && slides), layer);
    }
  }

  #tensor({ name, dims, flags, found }: TensorStatement): void {
    const there = this.#ask(
      String(name.evaluate(this)),
      dims.map((dim) => Number(dim.evaluate(this))),
      dims.map(({ text }) => text).join(", "),
      Number(flags.evaluate(this)),
    );
    if (found !== undefined) this.#variables.set(found, Number(there));
  }

  /** Whether the tensor is there. */
  #ask(name: string, shape: readonly number[], terms: string, flags: number): boolean {
    this.#tensors.push({
      name,
      shape,
      terms,
      optional: (flags & TENSOR_FLAGS.OPTIONAL) !== 0,
      reshaped: (flags & TENSOR_FLAGS.RESHAPED) !== 0,
      unused: (flags & TENSOR_FLAGS.UNUSED) !== 0,
    });
    const there = this.#header.shape(name) !== undefined;
    // weight_buft_supported tries the product with as many experts as are used
    if (there && EXPERT_WEIGHTS.test(name) && this.#h.call("n_expert_used") === 0) {
      throw new Refusal("expert_used_count must be over 0");
    }
    return there;
  }
}

const EXPERT_WEIGHTS = /_(ch)?exps\.weight$/;
