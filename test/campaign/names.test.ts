import { describe, expect, it } from "vitest";
import { CANARY } from "../../campaign/hostile-names.ts";
import { judgeCard, judgeCsv, judgeMarkup, judgePowerShell, judgeTerminal } from "../../campaign/judge-renders.ts";
import { attackByNames } from "../../campaign/names.ts";

describe("hostile names", () => {
  it("are names to all that is printed, written and run", async () => {
    const { cases, failures, counts } = await attackByNames({ seed: 4, count: 2, runs: 0 });
    expect(failures).toEqual([]);
    expect(cases).toBe(2);
    expect(counts["files judged: .ps1"]).toBeGreaterThan(0);
  }, 60_000);
});

describe("the judges of what is rendered", () => {
  it.each([
    ["an escape", judgeTerminal, "a\u001b[31mb"],
    ["a reordering", judgeTerminal, "a\u202eb"],
    ["an element", judgeMarkup, `<p><img src=${CANARY} onerror=alert(1)></p>`],
    ["an attribute", judgeMarkup, `<p title='' onload='${CANARY}'>`],
    ["a script", judgeMarkup, `<script>${CANARY}</script>`],
    ["the end of data", judgeMarkup, `<script>{"a":"<!--${CANARY}"}</script>`],
    ["a key", judgeCard, "---\nname: a\nkey: value\n---\nbody"],
    ["a heading", judgeCard, "---\nname: a\n---\na\n# heading\n"],
    ["a link", judgeCard, `---\nname: a\n---\n[link](javascript:${CANARY})`],
    ["a formula", judgeCsv, 'a,b\nc,"=1+1"\n'],
    ["another width", judgeCsv, "a,b\nc,d,e\n"],
    ["a command", judgePowerShell, `$a = 'b\u2019; touch ${CANARY} #'`],
  ] as const)("see %s", (_, judge, text) => {
    expect(judge(text)).toHaveLength(1);
  });

  it.each([
    [judgeTerminal, "a\nb é漢"],
    [
      judgeMarkup,
      `<p title="' onload='${CANARY}">&lt;img src=${CANARY}&gt;</p><script>{"a":"\\u003c${CANARY}"}</script>`,
    ],
    [judgeCard, `---\nname: a\n---\n\`[link](javascript:${CANARY})\` \\[link](javascript:x) \\<img ${CANARY}>`],
    [judgeCsv, 'a,b\n-1.5,"c,""d"\n'],
    [judgePowerShell, `# ${CANARY}\n$a = 'b\u2019\u2019; touch ${CANARY} #'`],
  ] as const)("let through what is quoted", (judge, text) => {
    expect(judge(text)).toEqual([]);
  });
});
