import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative, resolve } from "node:path";
import { describe, expect, it } from "vitest";

const SRC = resolve(import.meta.dirname, "../src");

/** The rooms in order (docs/architecture.md): each imports only itself and earlier ones. */
const STAGES = [
  "documents",
  "disk",
  "bytes",
  "ggml",
  "gguf",
  "loaders",
  "footprint",
  "preflight",
  "repair",
  "imatrix",
  "analyze",
  "sensitivity",
  "allocate",
  "plan",
  "intake",
  "quantize",
  "evaluate",
  "feedback",
  "probes",
  "rerank",
  "embed",
  "server",
  "run",
  "report",
  "publish",
  "shard",
  "verbs",
  "library",
  "cli",
];

/** The edges: stages may import the named files of them, which hold types and pure rules only. */
const EDGES: Readonly<Record<string, readonly string[]>> = {
  engine: ["engine/engine.ts", "engine/logits-file.ts", "engine/perplexity-log.ts"],
  kernels: ["kernels/backend.ts", "kernels/decode.ts"],
};

/** Must run in a browser too. */
const PURE = ["ggml", "allocate", "plan"];

const files = readdirSync(SRC, { recursive: true, encoding: "utf8" })
  .filter((path) => path.endsWith(".ts"))
  .map((path) => path.replaceAll("\\", "/"));

interface Import {
  readonly specifier: string;
  readonly typeOnly: boolean;
  /** Path below src/, for relative imports. */
  readonly target: string | undefined;
}

function importsOf(path: string): Import[] {
  const text = readFileSync(join(SRC, path), "utf8");
  const pattern = /^(?:import|export)\s+(type\s+)?(?:[^"';]*?\sfrom\s+)?"([^"]+)"/gm;
  return [...text.matchAll(pattern)].map(([, type, specifier = ""]) => ({
    specifier,
    typeOnly: type !== undefined,
    target: specifier.startsWith(".")
      ? relative(SRC, resolve(SRC, dirname(path), specifier)).replaceAll("\\", "/")
      : undefined,
  }));
}

const stageOf = (path: string): string => (path.includes("/") ? (path.split("/")[0] as string) : "");

describe("architecture", () => {
  it("knows every room", () => {
    const rooms = [...new Set(files.map(stageOf))].filter((room) => room !== "").sort();
    expect(rooms).toEqual([...STAGES, ...Object.keys(EDGES)].sort());
  });

  it("finds the stages it speaks of", () => {
    for (const stage of [...STAGES, ...Object.keys(EDGES)])
      expect(files.some((path) => stageOf(path) === stage)).toBe(true);
    expect(files.flatMap(importsOf).length).toBeGreaterThan(100);
  });

  it("lets a stage import only earlier stages", () => {
    const wrong = files.flatMap((path) => {
      const own = STAGES.indexOf(stageOf(path));
      if (own < 0) return [];
      return importsOf(path)
        .filter(({ target }) => target !== undefined && STAGES.indexOf(stageOf(target)) > own)
        .map(({ target }) => `${path} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it("lets stages import only the interfaces of engine and kernels", () => {
    const wrong = files.flatMap((path) => {
      // cli/ asks engine and kernels themselves what works on a machine (prism doctor)
      if (!STAGES.includes(stageOf(path)) || stageOf(path) === "cli") return [];
      return importsOf(path)
        .filter(({ target }) => target !== undefined && EDGES[stageOf(target)]?.includes(target) === false)
        .map(({ target }) => `${path} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it("keeps engine and kernels free of the stages that use them", () => {
    const allowed = ["documents", "disk", "ggml", "gguf", ...Object.keys(EDGES), ""];
    const wrong = files.flatMap((path) => {
      if (!Object.hasOwn(EDGES, stageOf(path))) return [];
      return importsOf(path)
        .filter(({ target }) => target !== undefined && !allowed.includes(stageOf(target)))
        .map(({ target }) => `${path} imports ${target}`);
    });
    expect(wrong).toEqual([]);
  });

  it("keeps ggml, allocate and plan free of Node, whatever they import", () => {
    const seen = new Set<string>();
    const wrong: string[] = [];
    const visit = (path: string, from: string): void => {
      if (seen.has(path)) return;
      seen.add(path);
      for (const { specifier, target, typeOnly } of importsOf(path)) {
        if (typeOnly) continue;
        if (specifier.startsWith("node:")) wrong.push(`${path} (from ${from}) imports ${specifier}`);
        if (target !== undefined) visit(target, from);
      }
    };
    for (const path of files.filter((file) => PURE.includes(stageOf(file)))) visit(path, path);
    expect(wrong).toEqual([]);
  });

  it("keeps console out of everything, and process streams inside cli/ and the engine's child", () => {
    const wrong = files.filter((path) => {
      const text = readFileSync(join(SRC, path), "utf8");
      return (
        /\bconsole\./.test(text) ||
        (stageOf(path) !== "cli" && /process\.(stdout|stderr)\b/.test(text.replace(/\/\/.*$/gm, "")))
      );
    });
    expect(wrong).toEqual([]);
  });
});
