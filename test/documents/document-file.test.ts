import { execFileSync } from "node:child_process";
import { mkdtemp, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { readDocumentText } from "../../src/documents/document-file.ts";
import { readDocument } from "../../src/documents/read-document.ts";
import { FileError, FormatError } from "../../src/errors.ts";
import { PLAN } from "../../src/plan/plan.ts";
import { loadPlan } from "../../src/verbs/load-document.ts";

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), "prism-documents-"));
});
afterAll(() => rm(dir, { recursive: true }));

describe("the file of a document", () => {
  it("must be there, a regular file, and no longer than a document gets", async () => {
    await expect(readDocumentText(join(dir, "none.json"))).rejects.toThrow(/none\.json: no such file; check the path/);
    await expect(readDocumentText(dir)).rejects.toThrow(/is a folder; name a file in it/);
    const long = join(dir, "long.json");
    await writeFile(long, "{");
    await truncate(long, 2 ** 28 + 1);
    await expect(readDocumentText(long)).rejects.toThrow(/has 268435457 bytes, too many for a JSON document/);
    await expect(readDocumentText(long)).rejects.toThrow(FileError);
  });

  it.skipIf(process.platform === "win32")("is not waited for where it is a pipe or a device", async () => {
    const pipe = join(dir, "pipe.json");
    execFileSync("mkfifo", [pipe]);
    for (const path of [pipe, "/dev/zero"]) {
      await expect(readDocumentText(path)).rejects.toThrow(/is no regular file/);
      await expect(loadPlan(path)).rejects.toThrow(/is no regular file/);
    }
  });
});

describe("a document of another kind", () => {
  const read = (document: unknown) => () => readDocument(JSON.stringify(document), "x.json", PLAN);
  it("is refused with what it is", () => {
    for (const document of [[], null, 5, "text"]) expect(read(document)).toThrow(FormatError);
    expect(read([])).toThrow(
      'x.json: expected a plan ("schema": "prism.plan/1"), got a list; make it again with prism plan',
    );
    expect(read({ schema: "prism.run/1" })).toThrow(/got the text "prism\.run\/1"/);
    expect(read({})).toThrow(/got one without a schema/);
  });
  it("of another version is refused with the version that made it", () => {
    expect(read({ schema: "prism.plan/2", prismVersion: "1.4.0" })).toThrow(
      /^x\.json: a plan in a format of PRISM 1\.4\.0, the text "prism\.plan\/2", expected "prism\.plan\/1"/,
    );
  });
});
