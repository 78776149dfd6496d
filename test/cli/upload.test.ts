import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serializePlan } from "../../src/plan/serialize-plan.ts";
import { READER, StandInHub, TOKEN } from "../publish/stand-in-hub.ts";
import { runInMemory } from "../report/charts/run-in-memory.ts";
import { MODEL, prism, scratchFolder } from "./prism.ts";

const folder = scratchFolder();
const hub = new StandInHub();
const NAME = /Tiny-PRISM-[\d.]+bpw-\w+\.gguf/;
const at = (...names: string[]) => join(folder.path, ...names);
const upload = (words: readonly string[], env: NodeJS.ProcessEnv = { HF_TOKEN: TOKEN }) =>
  prism(["upload", "run", ...words], folder.path, { HF_TOKEN: "", HF_HOME: at("none"), HF_ENDPOINT: hub.url, ...env });

beforeAll(async () => {
  const { plan, run } = runInMemory();
  for (const part of ["plans", "models", "evaluations"]) mkdirSync(at("run", part), { recursive: true });
  writeFileSync(at("run", "state.json"), JSON.stringify(run));
  writeFileSync(at("run", "plans", "plan.json"), serializePlan(plan));
  copyFileSync(MODEL, at("run", "models", "plan.gguf"));
  await hub.listen();
});
afterAll(async () => {
  await hub.close();
  folder.remove();
});

describe("prism upload", () => {
  it("by itself only says what it would upload, and what the card says", async () => {
    const { code, stdout, stderr } = await upload(["me/Tiny-GGUF"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^ 16\\.93 MB  [0-9a-f]{8}  ${NAME.source}$`, "m"));
    for (const file of ["plan.json", "tensor-types.txt", "evaluation.json", "SHA256SUMS", "README.md"]) {
      expect(stdout).toMatch(new RegExp(`^ *[\\d.]+ .?B  [0-9a-f]{8}  ${file}$`, "m"));
    }
    expect(stdout).toContain("the card is run/card/README.md; it begins\n  license: cc0-1.0\n");
    expect(stdout).toContain("  # Tiny: PRISM");
    expect(stdout).toMatch(/would upload \d files, .*\n.*me\/Tiny-GGUF; the public repository is made for it/);
    expect(stdout).toContain("next: prism upload run me/Tiny-GGUF --yes");
    expect(stdout).not.toMatch(/^.{81}/m);
    expect(stderr).toContain("wrote the card: run/card/README.md");
    expect(hub.repositories.size).toBe(0);
    // without a token, without a Hub
    const anonymous = await upload(["me/Tiny-GGUF"], {});
    expect([anonymous.code, anonymous.stderr]).toEqual([
      0,
      expect.stringContaining("! no token of the Hub, which --yes"),
    ]);
    expect((await upload(["me/Tiny-GGUF"], { HF_TOKEN: TOKEN, HF_ENDPOINT: "http://127.0.0.1:9" })).code).toBe(0);
  });

  it("uploads what the list says, and nothing of it twice", async () => {
    const first = await upload(["me/Tiny-GGUF", "--yes", "--private"]);
    expect(first.code).toBe(0);
    expect(first.stdout).toMatch(/^uploaded \d files/m);
    expect(hub.repositories.get("me/Tiny-GGUF")?.isPrivate).toBe(true);
    const there = hub.files("me/Tiny-GGUF");
    const [name] = [...there.keys()].filter((file) => NAME.test(file));
    expect(readFileSync(at("run", "card", "SHA256SUMS"), "utf8")).toContain(
      `${there.get(name ?? "")?.lfs?.oid}  ${name}`,
    );
    hub.requests.length = 0;
    const second = await upload(["me/Tiny-GGUF", "--yes"]);
    expect(second.stdout).toMatch(/^there already, the same:\n.*\.gguf$/m);
    expect(second.stdout).toContain("all of it is there:");
    expect(hub.requests.some((line) => /commit|PUT/.test(line))).toBe(false);
    // a page that a person edited is uploaded as it is
    writeFileSync(at("run", "card", "README.md"), "# Mine, for me/Tiny-GGUF\n");
    const { files } = JSON.parse((await upload(["me/Tiny-GGUF", "--yes", "--json"])).stdout);
    const sent = files.filter(({ there: lay }: { there: boolean }) => !lay);
    expect(sent.map(({ publishAs }: { publishAs: string }) => publishAs)).toEqual(["README.md"]);
  });

  it.each([
    [["me/Tiny-GGUF", "--yes"], {}, 2, /no token for the Hub: set HF_TOKEN/],
    [["me/Tiny-GGUF", "--yes"], { HF_TOKEN: "hf_nobody" }, 1, /does not take the token \(status 401\)/],
    [["you/Tiny-GGUF", "--yes"], { HF_TOKEN: READER }, 1, /may not write there \(status 403\)/],
    [["you/Tiny-GGUF"], { HF_TOKEN: TOKEN }, 0, /has no line for you\/Tiny-GGUF/],
    [["Tiny-GGUF", "--yes"], { HF_TOKEN: TOKEN }, 2, /expected OWNER\/NAME as on the Hub, got "Tiny-GGUF"/],
    [[], { HF_TOKEN: TOKEN }, 2, /expected the directory of a run, and OWNER\/NAME/],
    [["me/Tiny-GGUF", "--revision", "../x"], { HF_TOKEN: TOKEN }, 2, /expected a branch/],
  ])("%j with %j ends with %i", async (words, env, expected, message) => {
    const { code, stdout, stderr } = await upload(words as string[], env);
    expect(code).toBe(expected);
    expect(stderr).toMatch(message);
    for (const token of [TOKEN, READER, "hf_nobody"]) expect(stdout + stderr).not.toContain(token);
  });

  it("refuses files that are not those of SHA256SUMS", async () => {
    writeFileSync(at("run", "card", "plan.json"), "{}\n");
    const { code, stderr } = await upload(["me/Tiny-GGUF", "--yes"]);
    expect(code).toBe(1);
    expect(stderr).toContain("SHA256SUMS: is of other files than the run has now; --force writes the card anew");
    expect((await upload(["me/Tiny-GGUF", "--force"])).code).toBe(0);
  });
});
