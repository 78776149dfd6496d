/**
 * GGUF bytes from their structure, any field of which may hold what it should not: counts, lengths, types, dimensions
 * and offsets that a blind flip of bits would hardly hit together.
 */
import { VALUE_TYPES } from "../src/gguf/value-types.ts";
import type { NewKeyValue } from "../src/gguf/writer.ts";
import type { Draw } from "./draw.ts";
import { hostileName } from "./hostile-names.ts";

export interface GgufSeed {
  readonly keyValues: readonly NewKeyValue[];
  readonly tensors: readonly { readonly name: string; readonly shape: readonly number[]; readonly typeId: number }[];
  readonly dataBytes: number;
}

const HOSTILE = [0n, 1n, 3n, 255n, 65535n, 2n ** 31n, 2n ** 32n, 2n ** 33n - 32n, 2n ** 53n, 2n ** 62n, 2n ** 64n - 1n];

/** Write the seed with wrong fields: few or many, since one that is refused at once hides those behind it. */
export function generateGguf(seed: GgufSeed, random: Draw): Uint8Array {
  const share = random.pick([0.02, 0.1, 1]);
  const draw: Draw = { ...random, chance: (probability) => random.chance(share * probability) };
  const out = new HostileWriter(draw);
  out.raw(Buffer.from(draw.chance(0.01) ? "GGML" : "GGUF"));
  out.number("u32", 3n);
  const tensors = edited(seed.tensors, draw);
  const keyValues = edited(seed.keyValues, draw);
  out.number("u64", BigInt(tensors.length));
  out.number("u64", BigInt(keyValues.length));
  for (const keyValue of keyValues) writeKeyValue(out, keyValue, draw);
  let offset = 0n;
  for (const { name, shape, typeId } of tensors) {
    out.string(name);
    out.number("u32", BigInt(shape.length));
    for (const n of shape) out.number("u64", BigInt(n));
    out.number("u32", draw.chance(0.02) ? BigInt(draw.below(45)) : BigInt(typeId));
    out.number("u64", offset);
    offset += BigInt(Math.ceil(shape.reduce((a, b) => a * b, 4) / 32) * 32);
  }
  out.raw(
    new Uint8Array(((32 - (out.length % 32)) % 32) + (draw.chance(0.1) ? draw.below(seed.dataBytes) : seed.dataBytes)),
  );
  return out.finish();
}

/** The list with an entry lost, doubled or moved, now and then. */
function edited<Item>(items: readonly Item[], draw: Draw): readonly Item[] {
  if (items.length === 0 || draw.chance(0.8)) return items;
  const list = [...items];
  const at = draw.below(list.length);
  const [item] = list.splice(at, draw.chance(0.5) ? 1 : 0);
  list.splice(draw.below(list.length + 1), 0, ...(draw.chance(0.3) || item === undefined ? [] : [item]));
  return draw.chance(0.2) ? [...list, list[draw.below(list.length)] as Item] : list;
}

function writeKeyValue(out: HostileWriter, { key, type, value }: NewKeyValue, draw: Draw): void {
  out.string(key);
  const element = typeof type === "string" ? type : type.array;
  const values = Array.isArray(value) || ArrayBuffer.isView(value) ? [...(value as readonly unknown[])] : [value];
  if (typeof type !== "string") {
    out.number("u32", 9n);
    out.number("u32", BigInt(VALUE_TYPES[element].id));
    out.number("u64", BigInt(values.length));
  } else out.number("u32", BigInt(draw.chance(0.03) ? draw.below(14) : VALUE_TYPES[element].id));
  for (const one of values) {
    if (element === "string") out.string(String(one));
    else if (element === "f32") out.float(draw.chance(0.02) ? draw.pick([Number.NaN, 1e38, -1, 0]) : Number(one));
    else out.scalar(VALUE_TYPES[element].bytes, BigInt(Math.trunc(Number(one))));
  }
}

class HostileWriter {
  readonly #parts: Uint8Array[] = [];
  readonly #draw: Draw;
  length = 0;

  constructor(draw: Draw) {
    this.#draw = draw;
  }

  raw(bytes: Uint8Array): void {
    this.#parts.push(bytes);
    this.length += bytes.length;
  }

  /** A field of the structure: one in fifty is wrong. */
  number(type: "u32" | "u64", value: bigint): void {
    this.scalar(VALUE_TYPES[type].bytes, this.#draw.chance(0.02) ? this.#draw.pick(HOSTILE) : value);
  }

  scalar(bytes: number, value: bigint): void {
    const wrong = this.#draw.chance(0.01) ? this.#draw.pick(HOSTILE) : value;
    const whole = Buffer.alloc(8);
    whole.writeBigUInt64LE(BigInt.asUintN(64, wrong));
    this.raw(whole.subarray(0, bytes));
  }

  float(value: number): void {
    const bytes = Buffer.alloc(4);
    bytes.writeFloatLE(value);
    this.raw(bytes);
  }

  string(value: string): void {
    const bytes = Buffer.from(this.#draw.chance(0.02) ? hostileName(this.#draw) : value);
    this.number("u64", BigInt(bytes.length));
    this.raw(bytes);
  }

  finish(): Uint8Array {
    return Buffer.concat(this.#parts);
  }
}
