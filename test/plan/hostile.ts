/** Names and texts that a file may hold and that mean something to a careless shell, page, terminal or spreadsheet. */
import type { Analysis } from "../../src/analyze/analysis.ts";
import { createRandom } from "../../src/random.ts";
import { syntheticAnalysis } from "./synthetic-analysis.ts";

/** Of names of tensors: with control characters no header is read. */
const PARTS = [
  ..."'\"`$&;|<>\\ #*?[]{}()!~^%=+-@,:/.aZ0_",
  ..."\u202e\u2066\u2028\u200f\ufeff\u{1f9e8}é漢",
  "$(touch owned)",
  "`touch owned`",
  "';touch owned;'",
  "<img src=x onerror=alert(1)>",
  "</script><script>alert(1)</script>",
  "=cmd|' /C calc'!A1",
  "__proto__",
  "constructor",
  "blk.0.",
] as const;
const CONTROLS = ["\u001b]0;owned\u0007", "\u001b[2J", "\u009b31m", "\n", "\r", "\u0000", "\t", "\u007f"];

/** Bytes of a name that ggml takes. */
const MAX_BYTES = 63;

/** What takes control of a terminal, or of the order of what is read there. Line breaks are looked for where they matter. */
export const RAW = /(?!\n)[\p{Cc}\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/u;

/** An analysis of a model whose tensors, names and paths are hostile. */
export function hostileAnalysis(seed: number): Analysis {
  const random = createRandom(seed);
  const draw = <Item>(items: readonly Item[]) => items[Math.floor(random() * items.length)] as Item;
  const names = Array.from({ length: 16 }, (_, index) => {
    let stem = "";
    for (let parts = 1 + Math.floor(random() * 8); parts > 0; parts--) {
      const longer = `${stem}${draw(PARTS)}`;
      if (Buffer.byteLength(`${longer}.${index}.weight`) > MAX_BYTES) break;
      stem = longer;
    }
    return `${stem}.${index}.weight`;
  });
  const plain = ["__proto__.weight", "constructor.weight", "blk.1.__proto__.weight", `${"x".repeat(56)}.weight`];
  const extra = Object.fromEntries([...names, ...plain].map((name) => [name, [256, 256]]));
  const { model, imatrix, ...rest } = syntheticAnalysis({ layers: 2, imatrix: true, extra });
  const text = () => Array.from({ length: 10 }, () => draw([...PARTS, ...CONTROLS])).join("");
  const [path, file] = [`${text()}.gguf`, text()];
  return {
    ...rest,
    model: { ...model, path, shards: [path], name: text(), arch: text() },
    ...(imatrix && { imatrix: { ...imatrix, path: file, file, dataset: text() } }),
  };
}
