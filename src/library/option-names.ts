/**
 * Messages of the stages speak in the flags of the command line ("give --text FILE"). A program that uses the library gave
 * options: this puts their names in the place of the flags. What is a command to type, and flags of llama.cpp's own
 * programs, stay as they are.
 */

/** The option of the library for each flag. Positional words and flags without one are left alone. */
const OPTIONS: Readonly<Record<string, string>> = {
  "--allow-host": "allowHost",
  "--allow-requantize": "allowRequantize",
  "--backend": "backend",
  "--ban": "ban",
  "--baseline": "baseline",
  "--base": "base",
  "--bpw": "bpw",
  "--budgets": "budgets",
  "--cache-limit": "logitsLimitBytes",
  "--chunks": "chunks",
  "--context": "context",
  "--ctx": "ctx",
  "--document-prefix": "documentPrefix",
  "--exact": "exact",
  "--floor": "floor",
  "--force": "force",
  "--force-findings": "forceFindings",
  "--from": "from",
  "--gpu-layers": "gpuLayers",
  "--head": "head",
  "--host": "host",
  "--hub-url": "hubUrl",
  "--imatrix": "imatrix",
  "--keep-split": "keepSplit",
  "--kinds": "kinds",
  "--kld": "kld",
  "--kv": "kv",
  "--like": "like",
  "--llama-dir": "llamaDir",
  "--max-body": "maxBody",
  "--memory": "memoryBytes",
  "--mode": "mode",
  "--mmproj": "mmproj",
  "--no-cache": 'cacheDir: "none"',
  "--no": "no",
  "--out": "out",
  "--pairs": "pairs",
  "--parallel": "parallel",
  "--parse-special": "parseSpecial",
  "--pin": "pin",
  "--pooling": "pooling",
  "--port": "port",
  "--ppl-ratio": "pplRatio",
  "--prefer-speed": "preferSpeed",
  "--prior": "prior",
  "--private": "private",
  "--probe-guard": "probeGuard",
  "--max-time": "maxTime",
  "--probe-time": "probeTime",
  "--query-prefix": "queryPrefix",
  "--ram": "ram",
  "--recipe": "recipe",
  "--reference": "reference",
  "--reference-server": "referenceServer",
  "--refine": "refine",
  "--require": "require",
  "--revision": "revision",
  "--rerank": "rerank",
  "--retrieval": "retrieval",
  "--seed": "seed",
  "--sensitivity": "sensitivity",
  "--server": "server",
  "--size": "size",
  "--sizes": "sizes",
  "--source": "source",
  "--speed": "speed",
  "--split-max-size": "splitMaxSize",
  "--strict": "strict",
  "--swaps": "swaps",
  "--sweep": "sweep",
  "--template": "template",
  "--text": "text",
  "--threads": "threads",
  "--tie": "tie",
  "--types": "types",
  "--vram": "vram",
  "--yes": "yes",
  "-o": "output",
};

/** A command to type, up to the end of its clause; or a flag, with the word that stands for its value. */
const COMMAND_OR_FLAG =
  /\bprism [a-z]+(?: [^\s,;:)]+)*|\bnpm [a-z]+(?: [^\s,;)]+)*|(?<![\w-])(--?[a-z][a-z-]*)(?: (?:FILE|DIR|URL|MODEL|ID|OWNER\/NAME)\b)?/g;

/** The message with options of the library where it names flags. */
export function inOptionNames(message: string): string {
  return message.replace(COMMAND_OR_FLAG, (found, flag: string | undefined) => {
    const option = flag === undefined ? undefined : OPTIONS[flag];
    return option === undefined ? found : `\`${option}\``;
  });
}
