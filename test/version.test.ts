import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import { PRISM_VERSION } from "../src/version.ts";

test("the version in documents is the package's", () => {
  const manifest = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"));
  expect(PRISM_VERSION).toBe(manifest.version);
});
