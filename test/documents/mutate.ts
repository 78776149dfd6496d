/** Damages a document in one place, drawn from a seed. */
import { createRandom } from "../../src/random.ts";

export interface Damage {
  readonly text: string;
  /** The key that was damaged; absent where the text was cut. */
  readonly key?: string;
}

/** What may stand where something else was expected. JSON has no NaN: programs that know no better write it as text. */
const INTRUDERS: readonly (() => unknown)[] = [
  () => null,
  () => "NaN",
  () => -1e300,
  () => [],
  () => ({}),
  () => false,
  () => Array.from({ length: 100_000 }, () => 0),
  () => JSON.parse('{"__proto__": {"schema": "prism.run/1", "rows": []}}'),
];

/** Cut the text, delete a field, or put something else in its place. */
export function damage(text: string, seed: number): Damage {
  const random = createRandom(seed);
  const below = (limit: number) => Math.floor(random() * limit);
  if (below(8) === 0) return { text: text.slice(0, below(text.trimEnd().length)) };
  const document = JSON.parse(text);
  let holder = document;
  let key = "";
  for (;;) {
    const keys = Object.keys(holder);
    key = keys[below(keys.length)] ?? "";
    const next = holder[key];
    if (typeof next !== "object" || next === null || Object.keys(next).length === 0 || below(5) === 0) break;
    holder = next;
  }
  if (below(3) === 0 && !Array.isArray(holder)) delete holder[key];
  else holder[key] = INTRUDERS[below(INTRUDERS.length)]?.();
  return { text: JSON.stringify(document), key };
}
