import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { TOLERANCES } from "./tolerances.ts";

it("docs/backends.md shows the table of tolerances", () => {
  const text = readFileSync(new URL("../../docs/backends.md", import.meta.url), "utf8");
  const rows = text.split("\n").map((line) => line.split("|").map((cell) => cell.trim()));
  const heading = rows.find(([, first]) => first === "tolerance");
  const names = heading?.slice(2, -2) ?? [];
  expect(names).toEqual(Object.keys(TOLERANCES));
  for (const key of Object.keys(TOLERANCES.demanded) as (keyof typeof TOLERANCES.demanded)[]) {
    const row = rows.find(([, first]) => first === key)?.slice(2, -2) ?? [];
    expect(row.map(Number), key).toEqual(Object.values(TOLERANCES).map((tolerances) => tolerances[key]));
  }
});
