/**
 * Make the package: `npm run release -- [--out DIR] [--local] [--zig COMMAND]`. In a folder of its own the program is
 * built anew, so that nothing stale of this checkout gets in, the native kernels are compiled for every platform with
 * zig (`pip install ziglang`), and npm packs the lot. With --local only this platform's kernels are made, by this
 * machine's compiler: what the tests of the package do.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { parseArgs } from "node:util";

const ROOT = resolve(import.meta.dirname, "..");

/** zig's name of each platform: glibc and macOS as old as the engine's own libraries ask for. */
const TARGETS = {
  "linux-x64": "x86_64-linux-gnu.2.28",
  "linux-arm64": "aarch64-linux-gnu.2.28",
  "darwin-arm64": "aarch64-macos.12.0",
  "darwin-x64": "x86_64-macos.12.0",
  "win32-x64": "x86_64-windows-gnu",
};

/** What a library starts with: ELF, Mach-O of 64 bits, PE. */
const MAGIC = { linux: /^\x7fELF/, darwin: /^\xcf\xfa\xed\xfe/, win32: /^MZ/ };

/** What is built and packed; package.json's `files` chooses from it. */
const PARTS = [
  ..."src native-kernels/src native-kernels/README.md plans data docs".split(" "),
  ..."package.json tsconfig.json tsconfig.build.json README.md CHANGELOG.md LICENSE".split(" "),
];

const { values: options } = parseArgs({
  options: {
    out: { type: "string", default: "." },
    local: { type: "boolean", default: false },
    zig: { type: "string", default: "python3 -m ziglang" },
  },
});

const stage = mkdtempSync(join(tmpdir(), "prism-release-"));
try {
  for (const part of PARTS) cpSync(join(ROOT, part), join(stage, part), { recursive: true });
  symlinkSync(join(ROOT, "node_modules"), join(stage, "node_modules"), "junction");
  npm("run", "--silent", "build");
  const { compileKernels } = await import(join(stage, "dist/kernels/compile-kernels.js"));
  const { prebuiltName, PREBUILT, THIS_PLATFORM } = await import(join(stage, "dist/kernels/kernel-files.js"));
  const checksums = {};
  for (const platform of options.local ? [THIS_PLATFORM] : Object.keys(TARGETS)) {
    const name = prebuiltName(platform);
    const output = join(PREBUILT.folder, name);
    const compiler = [...options.zig.split(" "), "c++", "-target", TARGETS[platform], "-s"];
    // zig links its own libraries into what it makes for Windows, and makes an archive where it is told to (-static)
    const zig = { compiler, ...(platform.startsWith("win32") ? { link: [] } : {}) };
    const compiled = await compileKernels({ output, platform, ...(options.local ? {} : zig) });
    if (!compiled.ok) throw new Error(`${platform}: ${compiled.problem}`);
    const start = readFileSync(output).subarray(0, 4).toString("latin1");
    if (!MAGIC[platform.split("-")[0]].test(start)) throw new Error(`${platform}: the compiler made no shared library`);
    // a Windows linker leaves an import library beside
    for (const file of readdirSync(dirname(output))) if (!name.endsWith(file)) rmSync(join(dirname(output), file));
    checksums[name] = createHash("sha256").update(readFileSync(output)).digest("hex");
    process.stderr.write(`${name}: ${statSync(output).size} bytes, SHA-256 ${checksums[name]}\n`);
  }
  writeFileSync(join(PREBUILT.folder, PREBUILT.checksums), `${JSON.stringify(checksums, null, 2)}\n`);
  const out = resolve(options.out);
  mkdirSync(out, { recursive: true });
  const [packed] = JSON.parse(npm("pack", "--json", "--ignore-scripts", "--pack-destination", out));
  process.stdout.write(`${join(out, packed.filename)}\n`);
  process.stderr.write(`${packed.size} bytes packed, ${packed.unpackedSize} unpacked, ${packed.files.length} files\n`);
} finally {
  rmSync(stage, { recursive: true, force: true });
}

/** Run npm in the stage and return what it printed. */
function npm(...args) {
  const settings = { cwd: stage, encoding: "utf8", stdio: ["ignore", "pipe", "inherit"] };
  // a shell finds npm.cmd on Windows; the arguments are ours
  return execFileSync("npm", args, { ...settings, shell: process.platform === "win32" });
}
