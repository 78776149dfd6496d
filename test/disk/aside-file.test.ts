import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, it } from "vitest";
import { writeFileAside } from "../../src/disk/aside-file.ts";

const folder = mkdtempSync(join(tmpdir(), "prism-aside-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

it("writes one path many times at once, whole each time", async () => {
  const path = join(folder, "a.json");
  const contents = Array.from({ length: 20 }, (_, index) => `${index}`.repeat(50_000));
  await Promise.all(contents.map((content) => writeFileAside(path, content)));
  expect(contents).toContain(readFileSync(path, "utf8"));
  expect(readdirSync(folder)).toEqual(["a.json"]);
});
