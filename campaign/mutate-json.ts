/** Damages a JSON document as text and as values, keys and nesting. */
import type { Draw } from "./draw.ts";
import { hostileName } from "./hostile-names.ts";
import { mutateBytes } from "./mutate-bytes.ts";

/** Texts of values that may stand where another was expected; not all of them are JSON. */
const INTRUDERS: readonly string[] = [
  ...["null", "true", "false", "[]", "{}", '""', '" "', '"NaN"', "NaN", "Infinity", "-Infinity", "undefined"],
  ...["-1", "-0", "0", "1", "0.5", "1e300", "-1e300", "1e999", "-1e999", "5e-324", "9007199254740993", "1e21"],
  ...["4294967296", "2147483648", "255", "1.5", "[null]", "[[[[]]]]", '{"__proto__":{"polluted":1}}'],
  ...['{"constructor":{"prototype":{"polluted":1}}}', '{"length":-1}', '"__proto__"', '"constructor"', '"toString"'],
];

type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** Stands where a text of INTRUDERS goes that JSON.stringify would not write. */
const PLACE = "\u0001place\u0001";

/** Damage a document in one to three places, its text in some cases. */
export function mutateJson(text: string, draw: Draw): string {
  if (draw.chance(0.2)) return new TextDecoder().decode(mutateBytes(new TextEncoder().encode(text), draw));
  let document = JSON.parse(text) as Json;
  const intruders: string[] = [];
  for (let times = 1 + draw.below(3); times > 0; times--) document = mutateValue(document, draw, intruders);
  let mutated = JSON.stringify(document);
  for (const intruder of intruders) mutated = mutated.replace(JSON.stringify(PLACE), () => intruder);
  if (draw.chance(0.02)) return mutated.slice(0, draw.below(mutated.length));
  if (draw.chance(0.02)) return `\uFEFF${mutated}`;
  if (draw.chance(0.02)) return mutated.replace(/"(\w+)":/, '"$1":1,"$1":');
  return mutated;
}

function mutateValue(document: Json, draw: Draw, intruders: string[]): Json {
  let holder: Json = document;
  for (;;) {
    if (holder === null || typeof holder !== "object") return intrude(draw, intruders);
    const keys = Object.keys(holder);
    const key = keys.length === 0 ? "0" : draw.pick(keys);
    const container = holder as Record<string, Json>;
    const next: Json | undefined = container[key];
    const isLeaf = next === undefined || next === null || typeof next !== "object" || Object.keys(next).length === 0;
    if (isLeaf || draw.chance(0.15)) {
      mutateEntry(container, key, draw, intruders);
      return document;
    }
    holder = next;
  }
}

function mutateEntry(holder: Record<string, Json>, key: string, draw: Draw, intruders: string[]): void {
  const value = holder[key];
  const list = Array.isArray(holder) ? (holder as Json[]) : undefined;
  switch (draw.below(8)) {
    case 0:
      if (list === undefined) delete holder[key];
      else list.splice(Number(key), 1);
      return;
    case 1:
      if (list !== undefined && value !== undefined) list.push(...Array.from({ length: draw.below(50) }, () => value));
      else define(holder, draw.pick(["__proto__", "constructor", "toString", key.toUpperCase(), ""]), value ?? null);
      return;
    case 2:
      holder[key] = nested(draw);
      return;
    case 3:
      holder[key] = typeof value === "number" ? scaled(value, draw) : hostileName(draw);
      return;
    case 4: {
      // the value of another key, of another type as often as not
      const other = draw.pick(Object.keys(holder).length === 0 ? [key] : Object.keys(holder));
      holder[key] = holder[other] ?? null;
      return;
    }
    default:
      holder[key] = intrude(draw, intruders);
  }
}

function intrude(draw: Draw, intruders: string[]): Json {
  intruders.push(draw.pick(INTRUDERS));
  return PLACE;
}

/** An own property of any name: assigning to __proto__ would make none. */
function define(holder: Record<string, Json>, key: string, value: Json): void {
  Object.defineProperty(holder, key, { value, enumerable: true, configurable: true, writable: true });
}

const scaled = (value: number, draw: Draw): number => value * draw.pick([-1, 0, 1e-9, 1e9, 2, 1e300, 0.5, 1.0000001]);

function nested(draw: Draw): Json {
  let value: Json = draw.pick([0, "x", null]);
  for (let depth = draw.pick([10, 100, 2000]); depth > 0; depth--) value = draw.chance(0.5) ? [value] : { a: value };
  return value;
}
