import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { renderRun } from "../../src/report/terminal/evaluation-table.ts";
import { paperEngine } from "./paper-engine.ts";
import { paperPlace } from "./paper-place.ts";

const place = paperPlace(20, { refine: "none", chunks: 24 });
const { runOn } = place;
const isWork = (call: string) => /^(quantize|score|roundTrip)/.test(call);

describe("a run that judges by kinds of text and other caches", () => {
  it("measures both of what a person chooses between, and nothing twice", async () => {
    const kinds = ["letters", "logs"].map((name) => join(place.dir, `${name}.txt`));
    const [letters = "", logs = ""] = kinds;
    await writeFile(letters, "Dear all, the lamp is still on the table. ".repeat(9));
    await writeFile(logs, "08:01 started; 08:02 stopped; 08:03 started. ".repeat(9));
    const asked = { kinds, kv: { k: "Q8_0", v: "Q8_0" } } as const;
    const result = await runOn(paperEngine(), asked);
    for (const row of result.rows) {
      const isChosen = row.kind === "plan" || row.kind === "preset";
      expect(
        row.kinds?.map(({ kind }) => kind),
        row.label,
      ).toEqual(isChosen ? ["letters", "logs"] : undefined);
      expect(row.kvCache?.k, row.label).toBe(isChosen ? "Q8_0" : undefined);
    }
    expect(result.asked).toMatchObject({ kv: "q8_0", kinds: expect.stringMatching(/^[0-9a-f]{64} [0-9a-f]{64}$/) });
    const shown = renderRun(result);
    expect(shown).toMatch(/KLD \(nats\) by kind +letters +logs +mean\n/);
    expect(shown).toMatch(/by type of its cache .*\n.* f16 .*\n +q8_0 /);
    const again = paperEngine();
    expect(await runOn(again, asked)).toEqual(result);
    expect(again.calls.filter(isWork)).toEqual([]);
    await expect(runOn(paperEngine(), { kv: asked.kv })).rejects.toThrow(/--kinds was [0-9a-f… ]+, now not given/);
    await expect(runOn(paperEngine(), { kinds })).rejects.toThrow(/--kv was q8_0, now not given/);
  });
});
