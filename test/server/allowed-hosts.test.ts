import { hostname } from "node:os";
import { describe, expect, it } from "vitest";
import { createHostRule, isLocalOrigin } from "../../src/server/allowed-hosts.ts";

describe("the names of a server without a key", () => {
  it.each(["127.0.0.1", "127.0.0.1:8012", "localhost", "LOCALHOST:1", "localhost.:80", "[::1]", "[::1]:8012"])(
    "are those of the loopback: %s",
    (header) => {
      for (const bound of ["127.0.0.1", "localhost", "0.0.0.0"]) expect(createHostRule(bound, [])(header)).toBe(true);
    },
  );

  it.each([
    undefined,
    "",
    "evil.example",
    "evil.example:8012",
    "localhost.evil.example",
    "127.0.0.1.evil.example",
    "127.0.0.1@evil.example",
    "evil.example, localhost",
    "localhost, evil.example",
    "localhost:8012:1",
    "localhost:",
    "[::1].evil.example",
    "localhost/evil",
    "__proto__",
    "prism",
  ])("are no others: %s", (header) => {
    for (const bound of ["127.0.0.1", "0.0.0.0"]) expect(createHostRule(bound, [])(header)).toBe(false);
  });

  it("are any address, which nobody can point elsewhere, and this machine's where other machines may ask", () => {
    for (const header of ["192.168.1.5:8012", "[fe80::1]:80", hostname()]) {
      expect(createHostRule("0.0.0.0", [])(header)).toBe(true);
    }
    expect(createHostRule("127.0.0.1", [])("192.168.1.5:8012")).toBe(false);
  });

  it("are what it listens on and what is allowed besides", () => {
    expect(createHostRule("gpu.example", [])("gpu.example:8012")).toBe(true);
    expect(createHostRule("127.0.0.1", ["Prism.Example"])("prism.example")).toBe(true);
  });

  it("let pages of this machine ask, on any port", () => {
    for (const origin of ["http://localhost", "http://127.0.0.1:3000", "https://[::1]:1"])
      expect(isLocalOrigin(origin)).toBe(true);
    for (const origin of ["", "null", "http://evil.example", "http://localhost.evil.example", "file://localhost"])
      expect(isLocalOrigin(origin)).toBe(false);
  });
});
