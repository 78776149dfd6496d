import { copyFileSync, truncateSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { errorFields } from "../../src/cli/error-fields.ts";
import { createProgram } from "../../src/cli/program.ts";
import { ERROR_DOCUMENT, type ErrorDocument } from "../../src/documents/error-document.ts";
import { GateError } from "../../src/errors.ts";
import { MODEL, type Outcome, prism, scratchFolder, startPrism } from "./prism.ts";

const folder = scratchFolder();
const validate = new Ajv({ strict: true }).compile(ERROR_DOCUMENT.schema);
const run = (...args: string[]) => prism([...args, "--json"], folder.path);

beforeAll(() => {
  copyFileSync(MODEL, join(folder.path, "truncated.gguf"));
  truncateSync(join(folder.path, "truncated.gguf"), 5_000_000);
  writeFileSync(join(folder.path, "text.txt"), "A lamp stood on the table. ".repeat(100));
});
afterAll(folder.remove);

/** The error that is the one document on stdout; stderr says the same to a person. */
function errorOf({ code, stdout, stderr }: Outcome): ErrorDocument["error"] {
  const document = JSON.parse(stdout) as ErrorDocument;
  expect(validate(document), JSON.stringify(validate.errors)).toBe(true);
  expect(document.error.exitCode).toBe(code);
  expect(stderr).toContain(`prism: ${document.error.message.split("\n")[0]}`);
  return document.error;
}

const commands = (await createProgram({ signal: new AbortController().signal })).commands.map((one) => one.name());

/** What is wrong with a command line that commander takes. */
const WRONG: Readonly<Record<string, readonly string[]>> = {
  plan: ["absent.gguf", "--bpw", "4"],
  prior: ["add", "absent"],
  quantize: ["absent.json"],
  imatrix: ["absent.gguf", "-o", "new.gguf"],
  repair: ["absent.gguf", "-o", "new.gguf"],
  doctor: ["--threads", "none"],
};

describe("--json of a command that fails", () => {
  it.each(commands)("prints one error document: %s", async (command) => {
    const error = errorOf(await run(command, ...(WRONG[command] ?? ["absent.gguf"])));
    expect(["usage", "file"]).toContain(error.code);
  });

  it("says what is missing, and of which command", async () => {
    expect(errorOf(await run("inspct")).message).toMatch(/^unknown command 'inspct'/);
    expect(errorOf(await run("doctor", "--no-such-option")).message).toMatch(/^unknown option '--no-such-option'/);
    expect(errorOf(await run("inspect"))).toEqual({
      code: "usage",
      message: "missing required argument 'model'",
      exitCode: 2,
    });
    expect(errorOf(await run("plan", MODEL, "--bpw", "much")).code).toBe("usage");
  });

  it("says what budgets are possible, and what file it was", async () => {
    const [budget, file, densities, backend] = await Promise.all([
      run("plan", MODEL, "--bpw", "0.5"),
      run("analyze", "truncated.gguf"),
      run("plan", MODEL, "--bpw", "0.5", "--sensitivity", "absent.json"),
      run("analyze", MODEL, "--backend", "abacus"),
    ]);
    const { possible, ...infeasible } = errorOf(budget);
    expect(infeasible).toMatchObject({ code: "infeasible", exitCode: 5 });
    expect(possible?.minBytes).toBeGreaterThan(2_500_000);
    expect(possible?.maxBytes).toBeGreaterThan(possible?.minBytes ?? Number.POSITIVE_INFINITY);
    expect(errorOf(file)).toMatchObject({ code: "format", path: "truncated.gguf", finding: "truncated", exitCode: 1 });
    expect(errorOf(densities)).toMatchObject({ code: "file", path: "absent.json" });
    expect(errorOf(backend)).toMatchObject({ code: "backend", exitCode: 4 });
  });

  it("leaves the document that a command has already printed alone", async () => {
    const inspection = await run("inspect", "truncated.gguf");
    expect(JSON.parse(inspection.stdout)).toMatchObject({
      schema: "prism.inspection/1",
      findings: [{ code: "truncated" }],
      error: { code: "format", exitCode: 1 },
    });
    expect(inspection.code).toBe(1);
  });

  it("says which gates were missed, and what --strict found", () => {
    const gates = [{ gate: "kld<=0.05", value: 0.1, met: false }];
    expect(errorFields(new GateError("missed", { gates }))).toEqual({
      ...{ code: "gate", message: "missed", exitCode: 3, gates },
    });
    expect(errorFields(new GateError("found", { findings: ["nan-weights"] }))).toMatchObject({
      findings: ["nan-weights"],
    });
  });

  it("tells an interruption", async () => {
    const args = ["evaluate", MODEL, "--reference", MODEL, "--chunks", "64", "--json"];
    const { child, outcome } = startPrism(args, folder.path);
    child.stderr?.once("data", () => child.kill("SIGINT"));
    const { code, stdout } = await outcome;
    expect(code).toBe(130);
    expect(JSON.parse(stdout).error).toEqual({ code: "interrupted", message: "interrupted", exitCode: 130 });
  });

  it("tells a crash, and help and version as text", async () => {
    const crash = `process.on("newListener", (name) => { if (name === "SIGTERM") setImmediate(() => { throw new Error("nobody caught this") }) })`;
    const env = { NODE_OPTIONS: `--import data:text/javascript,${encodeURIComponent(crash)}` };
    const crashed = await prism(["inspect", MODEL, "--json"], folder.path, env);
    expect(errorOf(crashed)).toMatchObject({ code: "bug", message: "nobody caught this", exitCode: 1 });
    expect(crashed.stderr).toContain("this is a bug in prism");
    expect(JSON.parse((await run("run", "--help")).stdout).text).toMatch(/^Usage: prism run /);
    expect(JSON.parse((await run("--version")).stdout).text).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});
