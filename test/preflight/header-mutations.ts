/** Seeded mutations of a model's header, one thing at a time: what preflight and llama.cpp are asked about alike. */
import type { NewGguf, NewKeyValue, NewTensor } from "../../src/gguf/writer.ts";

export interface Mutation {
  readonly what: string;
  readonly gguf: NewGguf;
}

type Random = () => number;

const pick = <T>(random: Random, items: readonly T[]): T => items[Math.floor(random() * items.length)] as T;

/** Mutate a header; data become holes, since nothing but the header is asked about. */
export function mutate({ keyValues, tensors }: NewGguf, random: Random): Mutation {
  const mutation = pick(random, MUTATIONS);
  const changed = mutation(keyValues, tensors, random);
  const holes = (changed.tensors ?? tensors).map(({ name, shape, type }) => ({ name, shape, type }));
  return { what: changed.what, gguf: { keyValues: changed.keyValues ?? keyValues, tensors: holes } };
}

interface Changed {
  readonly what: string;
  readonly keyValues?: readonly NewKeyValue[];
  readonly tensors?: readonly NewTensor[];
}

type Mutate = (keyValues: readonly NewKeyValue[], tensors: readonly NewTensor[], random: Random) => Changed;

const isNumber = ({ value }: NewKeyValue): boolean => typeof value === "number";
const isHyperparameter = ({ key }: NewKeyValue): boolean => !/^(general|tokenizer|prism)\./.test(key);

function replaceKey(keyValues: readonly NewKeyValue[], old: NewKeyValue, change: Partial<NewKeyValue>): NewKeyValue[] {
  return keyValues.map((entry) => (entry === old ? ({ ...entry, ...change } as NewKeyValue) : entry));
}

function replaceTensor(tensors: readonly NewTensor[], old: NewTensor, change: Partial<NewTensor>): NewTensor[] {
  return tensors.map((tensor) => (tensor === old ? { ...tensor, ...change } : tensor));
}

const dropKey: Mutate = (keyValues, _, random) => {
  const entry = pick(
    random,
    keyValues.filter(({ key }) => key !== "general.architecture"),
  );
  return { what: `without ${entry.key}`, keyValues: keyValues.filter((other) => other !== entry) };
};

const changeValue: Mutate = (keyValues, _, random) => {
  const entry = pick(
    random,
    keyValues.filter((each) => isNumber(each) && isHyperparameter(each) && each.type === "u32"),
  );
  const old = Number(entry.value);
  const value = pick(random, [old + 1, Math.max(0, old - 1), 2 * old, Math.floor(old / 2), 0]);
  return { what: `${entry.key} ${old} → ${value}`, keyValues: replaceKey(keyValues, entry, { value } as never) };
};

const changeType: Mutate = (keyValues, _, random) => {
  const entry = pick(
    random,
    keyValues.filter((each) => isNumber(each) || typeof each.value === "boolean"),
  );
  const type = pick(
    random,
    (["u32", "i32", "u64", "f32", "u8", "string"] as const).filter((each) => each !== entry.type),
  );
  const number = Number(entry.value);
  const value =
    type === "string"
      ? String(entry.value)
      : type === "u64"
        ? BigInt(Math.trunc(number))
        : type === "f32"
          ? number
          : Math.trunc(number) % 256;
  return { what: `${entry.key} as ${type}`, keyValues: replaceKey(keyValues, entry, { type, value } as never) };
};

const makeList: Mutate = (keyValues, _, random) => {
  const entry = pick(
    random,
    keyValues.filter((each) => isNumber(each) && isHyperparameter(each)),
  );
  const length = pick(random, [1, 2, 3, 4]);
  const value = new Array<unknown>(length).fill(entry.value);
  return {
    what: `${entry.key} as a list of ${length}`,
    keyValues: replaceKey(keyValues, entry, { type: { array: entry.type }, value } as never),
  };
};

const resizeList: Mutate = (keyValues, tensors, random) => {
  const lists = keyValues.filter(({ value, key }) => Array.isArray(value) && !key.endsWith("merges"));
  if (lists.length === 0) return dropKey(keyValues, tensors, random);
  const entry = pick(random, lists);
  const old = entry.value as readonly unknown[];
  const longer = random() < 0.5;
  const extra = typeof old[0] === "string" ? "one more" : (old[0] ?? 0);
  const value = longer ? [...old, extra] : old.slice(0, -1);
  return {
    what: `${entry.key} of ${old.length} → ${value.length}`,
    keyValues: replaceKey(keyValues, entry, { value } as never),
  };
};

const dropTensor: Mutate = (_, tensors, random) => {
  const tensor = pick(random, tensors);
  return { what: `without ${tensor.name}`, tensors: tensors.filter((other) => other !== tensor) };
};

const addTensor: Mutate = (_, tensors, random) => {
  const name = pick(random, ["blk.0.attn_odd.weight", "odd.weight", "blk.99.attn_q.weight", "blk.0.ffn_up.bias"]);
  const kept = tensors.filter((tensor) => tensor.name !== name);
  return { what: `with ${name}`, tensors: [...kept, { name, shape: [32], type: "F32" }] };
};

const reshapeTensor: Mutate = (_, tensors, random) => {
  const tensor = pick(random, tensors);
  const axis = Math.floor(random() * tensor.shape.length);
  const shape = tensor.shape.map((width, index) =>
    index === axis ? Math.max(1, pick(random, [width + 1, width - 1, 2 * width])) : width,
  );
  return { what: `${tensor.name} [${tensor.shape}] → [${shape}]`, tensors: replaceTensor(tensors, tensor, { shape }) };
};

const swapAxes: Mutate = (keyValues, tensors, random) => {
  const matrices = tensors.filter(({ shape }) => shape.length > 1 && shape[0] !== shape[1]);
  if (matrices.length === 0) return reshapeTensor(keyValues, tensors, random);
  const tensor = pick(random, matrices);
  const [a = 1, b = 1, ...rest] = tensor.shape;
  return { what: `${tensor.name} transposed`, tensors: replaceTensor(tensors, tensor, { shape: [b, a, ...rest] }) };
};

/** Values twice, since there are most ways in which they can be wrong. */
const MUTATIONS: readonly Mutate[] = [
  dropKey,
  changeValue,
  changeValue,
  changeType,
  makeList,
  resizeList,
  dropTensor,
  addTensor,
  reshapeTensor,
  swapAxes,
];
