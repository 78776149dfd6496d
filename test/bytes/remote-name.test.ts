import { describe, expect, it } from "vitest";
import { locate } from "../../src/bytes/location.ts";
import {
  downloadCommand,
  isRemote,
  localName,
  parseHubName,
  requireLocal,
  shownName,
} from "../../src/bytes/remote-name.ts";
import { UsageError } from "../../src/errors.ts";

const failure = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    if (error instanceof UsageError) return error.message;
  }
  throw new Error("expected a UsageError");
};

describe("names of remote models", () => {
  it("are web addresses and hf: names, no paths", () => {
    for (const name of ["https://a/b.gguf", "HTTP://a/b.gguf", "hf:a/b/c.gguf"]) expect(isRemote(name)).toBe(true);
    for (const name of ["a.gguf", "/hf:/a.gguf", "C:\\m.gguf", "./https://a", "hfa/b.gguf"])
      expect(isRemote(name)).toBe(false);
  });

  it("hf: names have owner, repository, file and perhaps a revision", () => {
    expect(parseHubName("hf:owner/Repo-1.5/sub/dir/m.gguf")).toEqual({
      repository: "owner/Repo-1.5",
      file: "sub/dir/m.gguf",
    });
    expect(parseHubName("hf:o/r/m.gguf@refs/pr/1")).toEqual({
      repository: "o/r",
      file: "m.gguf",
      revision: "refs/pr/1",
    });
    for (const name of [
      "hf:",
      "hf:o/r",
      "hf:o/m.gguf",
      "hf:o/r/m.bin",
      "hf:o/r/../../m.gguf",
      "hf:o/r//m.gguf",
      "hf:o/r/m.gguf@",
    ]) {
      expect(failure(() => parseHubName(name))).toMatch(/expected hf:owner\/repository\/file\.gguf/);
    }
  });

  it("become the addresses the Hub resolves, token included, at the endpoint of the environment", () => {
    const env = { HF_TOKEN: " hf_secret \n" };
    const { http, path, file } = locate("hf:o/r/a b/m#1.gguf@refs/pr/1", env);
    expect(http?.url.href).toBe("https://huggingface.co/o/r/resolve/refs%2Fpr%2F1/a%20b/m%231.gguf");
    expect(http?.authorization).toBe("Bearer hf_secret");
    expect([path, file]).toEqual(["hf:o/r/a b/m#1.gguf@refs/pr/1", "hf:o/r/a b/m#1.gguf"]);
    const mirror = locate("hf:o/r/m.gguf", { HF_ENDPOINT: "https://mirror.example/hub/" });
    expect(mirror.http?.url.href).toBe("https://mirror.example/hub/o/r/resolve/main/m.gguf");
    expect(mirror.http?.authorization).toBeUndefined();
    // a token is for the Hub alone
    expect(locate("https://huggingface.co/o/r/resolve/main/m.gguf", env).http?.authorization).toBeUndefined();
    expect(failure(() => locate("hf:o/r/m.gguf", { HF_ENDPOINT: "mirror" }))).toMatch(
      /HF_ENDPOINT: expected a web address/,
    );
    expect(failure(() => locate("hf:o/r/m.gguf", { HF_TOKEN: "a\nb" }))).not.toContain("a\nb");
  });

  it("name their neighbours: query, login and revision stay", () => {
    const web = locate("https://me:pw@host/d/m-00001-of-00002.gguf?sig=1");
    const other = web.beside("https://host/d/m-00002-of-00002.gguf");
    expect(other.http).toEqual({
      url: new URL("https://host/d/m-00002-of-00002.gguf?sig=1"),
      path: "https://host/d/m-00002-of-00002.gguf",
      authorization: web.http?.authorization,
    });
    expect(locate("hf:o/r/m-1.gguf@v1", {}).beside("hf:o/r/m-2.gguf").path).toBe("hf:o/r/m-2.gguf@v1");
  });

  it("are shown without what may be secret", () => {
    expect(shownName("https://me:pw@host:8080/d/m.gguf?sig=1#x")).toBe("https://host:8080/d/m.gguf");
    expect(shownName("hf:o/r/m.gguf@v1")).toBe("hf:o/r/m.gguf@v1");
    expect(shownName("/a?b/m.gguf")).toBe("/a?b/m.gguf");
  });

  it("can be downloaded by one command, all shards of them", () => {
    expect(downloadCommand("https://h/d/m.gguf?sig=1")).toBe("curl -fL -O https://h/d/m.gguf");
    expect(downloadCommand("https://h/d/m-00001-of-00003.gguf")).toBe(
      "curl -fL -O 'https://h/d/m-[00001-00003]-of-00003.gguf'",
    );
    expect(downloadCommand("hf:o/r/d/m.gguf@v 1")).toBe("hf download o/r d/m.gguf --revision 'v 1' --local-dir .");
    expect(downloadCommand("hf:o/r/d/m-00001-of-00003.gguf")).toBe(
      "hf download o/r --include 'd/m-*-of-00003.gguf' --local-dir .",
    );
    expect(localName("hf:o/r/d/m.gguf@v1")).toBe("d/m.gguf");
    expect(localName("https://h/d/m.gguf?a=/b")).toBe("m.gguf");
    expect(localName("d/m.gguf")).toBe("d/m.gguf");
  });

  it("are refused where a file is needed, with the command that gets it", () => {
    requireLocal("m.gguf");
    expect(failure(() => requireLocal("https://h/m.gguf?secret"))).toBe(
      "https://h/m.gguf: this needs the file itself, on this machine; download it (curl -fL -O https://h/m.gguf) and give m.gguf",
    );
  });
});
