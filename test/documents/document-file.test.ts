import { execFileSync } from "node:child_process";
import { appendFile, mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
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

describe("text that is no document", () => {
  const read = async (name: string, content: string | Uint8Array) => {
    const path = join(dir, name);
    await writeFile(path, content);
    return readDocument(await readDocumentText(path, PLAN), path, PLAN);
  };

  it("is refused for its bytes", async () => {
    await expect(read("latin1.json", Buffer.from('{"schema": "\xe9"}', "latin1"))).rejects.toThrow(
      /latin1\.json: is not UTF-8 text, expected a plan; make it again with prism plan/,
    );
    await expect(read("utf16.json", Buffer.from('\ufeff{"schema": 1}', "utf16le"))).rejects.toThrow(
      /is UTF-16, expected UTF-8: save it again as that/,
    );
    await expect(read("empty.json", "")).rejects.toThrow(/a plan that is cut off at byte 0, where the file ends/);
    await expect(read("zeros.json", new Uint8Array(2 ** 20))).rejects.toThrow(/zeros\.json: is not JSON \(/);
  });

  it("is refused for its depth, open or closed, and not for brackets in a text", async () => {
    const deep = "[".repeat(100_000);
    for (const text of [deep, `{"a": ${deep}${"]".repeat(100_000)}}`, '{"a":'.repeat(100_000)]) {
      await expect(read("deep.json", text)).rejects.toThrow(/deep\.json: is nested deeper than the 64 levels/);
    }
    const quoted = JSON.stringify({ schema: `\\"${deep}\\\\` });
    await expect(read("quoted.json", quoted)).rejects.toThrow(
      /expected a plan \("schema": "prism\.plan\/1"\), got the text/,
    );
  });

  it("is refused where an object says a key twice, however it is spelled, and not where two objects do", async () => {
    const twice =
      '{"schema": "prism.plan/1",\n "tensors": [{"type": "Q4_K"},\n {"type": "Q4_K", "t\\u0079pe" : "Q2_K"}]}';
    await expect(read("twice.json", twice)).rejects.toThrow(
      /twice\.json: says "type" \(line 3\) twice in one object; delete the one that is wrong, or make it again/,
    );
    await expect(read("proto.json", '{"__proto__": 1, "__proto__": {"a": 2}}')).rejects.toThrow(
      /"__proto__" \(line 1\)/,
    );
    const once =
      '{"schema": "\\"a\\": {\\"a\\": ", "a": {"a": ["a", "a", {"a": 1}, {"a": 2, "__proto__": 3}]}, "": ":"}';
    await expect(read("once.json", once)).rejects.toThrow(/expected a plan/);
  });

  it("is read up to its bound while it grows, and no further", async () => {
    const path = join(dir, "grows.json");
    await writeFile(path, "{");
    const limit = { noun: "a test", maxBytes: 1000, remedy: "stop" };
    await expect(readDocumentText(path, limit)).resolves.toBe("{");
    const file = await open(path);
    const stat = Object.getPrototypeOf(file).stat;
    let looks = 0;
    await file.close();
    Object.getPrototypeOf(file).stat = async function (this: unknown) {
      const found = await stat.call(this);
      // when it was looked at for the last time
      if (++looks === 2) await appendFile(path, "x".repeat(5000));
      return found;
    };
    try {
      await expect(readDocumentText(path, limit)).rejects.toThrow(
        "grows.json: grows while it is read, beyond the bytes for a test (at most 1000); stop",
      );
    } finally {
      Object.getPrototypeOf(file).stat = stat;
    }
  });

  it.skipIf(process.platform !== "linux")("is read where its size is told as 0", async () => {
    expect(await readDocumentText("/proc/self/status")).toMatch(/^Name:/);
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
