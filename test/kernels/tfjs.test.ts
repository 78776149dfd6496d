import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import * as tf from "@tensorflow/tfjs";
import { expect, it } from "vitest";
import { referenceBackend } from "../../src/kernels/reference.ts";
import { crashOf } from "../../src/kernels/tfjs/load.ts";
import { openTfjsBackend } from "../../src/kernels/tfjs.ts";
import { gaussian, structured } from "./matrices.ts";

async function open() {
  const backend = await openTfjsBackend(referenceBackend(), ["@tensorflow/tfjs"]);
  if (typeof backend === "string") throw new Error(backend);
  return backend;
}

/** What Node's import does where a package is not installed. */
async function absent(name: string): Promise<never> {
  const message = `Cannot find package '${name}' imported from prism`;
  throw Object.assign(new Error(message), { code: "ERR_MODULE_NOT_FOUND" });
}

it("says which package computes, with what and whether on a GPU", async () => {
  const backend = await open();
  expect(backend.description).toBe(`@tensorflow/tfjs ${tf.version_core}, cpu, not on a GPU; sums by reference`);
  expect(backend.onGpu).toBe(false);
  await backend.close();
});

it("leaves no tensor behind", async () => {
  const before = tf.memory().numTensors;
  const backend = await open();
  const matrix = gaussian(270, 300);
  const singular = structured(261, 265);
  singular.data.fill(0, 265);
  await Promise.all([
    backend.sigmaMax(matrix),
    backend.sigmaMax(singular),
    backend.sigmaMax(gaussian(40, 90)),
    backend.windowEigenvalues(matrix, 33, [0, 7, 250], 1),
  ]);
  expect(tf.memory().numTensors).toBe(before);
  // Infinite products have no eigenvalues.
  await expect(backend.sigmaMax({ data: new Float32Array(9).fill(Number.NaN), rows: 3, columns: 3 })).rejects.toThrow();
  expect(tf.memory().numTensors).toBe(before);
  await backend.close();
});

it("takes the first package that is installed and loads", async () => {
  const asked: string[] = [];
  const backend = await openTfjsBackend(referenceBackend(), undefined, async (name) => {
    asked.push(name);
    return name === "@tensorflow/tfjs" ? tf : absent(name);
  });
  expect(asked).toEqual(["@tensorflow/tfjs-node-gpu", "@tensorflow/tfjs-node", "@tensorflow/tfjs"]);
  expect(backend).toMatchObject({ name: "tfjs" });
});

it("says why there is none and what to do", async () => {
  expect(await openTfjsBackend(referenceBackend(), undefined, absent)).toBe(
    "no TensorFlow.js package is installed; npm install @tensorflow/tfjs-node-gpu where prism is installed, or another of @tensorflow/tfjs-node-gpu, @tensorflow/tfjs-node, @tensorflow/tfjs",
  );
  const broken = async (name: string) => {
    if (name !== "@tensorflow/tfjs-node-gpu") return absent(name);
    throw new Error("libtensorflow.so.2: cannot open shared object file\nmore");
  };
  expect(await openTfjsBackend(referenceBackend(), undefined, broken)).toMatch(
    /^@tensorflow\/tfjs-node-gpu does not load \(libtensorflow\.so\.2: cannot open shared object file\); npm install/,
  );
});

it.skipIf(process.platform === "win32")("loads a package in a process of its own first, which may crash", async () => {
  const dir = mkdtempSync(join(tmpdir(), "prism-tfjs-"));
  const from = pathToFileURL(join(dir, "program.js")).href;
  const install = (name: string, code: string) => {
    const root = join(dir, "node_modules", name);
    mkdirSync(root, { recursive: true });
    writeFileSync(join(root, "index.js"), code);
  };
  install("sound", "exports.ready = async () => {};");
  install("faulty", "throw new Error('said by who loads it');");
  install("damaged", "process.kill(process.pid, 'SIGSEGV');");
  install("crashing", "exports.ready = async () => process.kill(process.pid, 'SIGBUS');");
  expect(await crashOf("sound", from)).toBeUndefined();
  expect(await crashOf("faulty", from)).toBeUndefined();
  expect(await crashOf("absent", from)).toBeUndefined();
  expect(await crashOf("damaged", from)).toBe("crashed (SIGSEGV) when it was tried in a process of its own");
  expect(await crashOf("crashing", from)).toBe("crashed (SIGBUS) when it was tried in a process of its own");
  rmSync(dir, { recursive: true });
});

it("is not used where its numbers differ from the reference", async () => {
  // Tensor cores round the factors to 10 bits.
  const coarse = { ...tf, matMul: (...values: Parameters<typeof tf.matMul>) => tf.mul(tf.matMul(...values), 1.001) };
  expect(await openTfjsBackend(referenceBackend(), undefined, async () => coarse)).toMatch(
    /^its largest singular values differ from the reference on this device; use --backend native or reference$/,
  );
});

it("refuses windows that leave the matrix, and calls after close", async () => {
  const backend = await open();
  const matrix = gaussian(10, 12);
  await expect(backend.sigmaMax({ ...matrix, rows: 11 })).rejects.toThrow("a matrix of 11 × 12 has 120 weights");
  await expect(backend.windowEigenvalues(matrix, 8, [5], 0)).rejects.toThrow("leave the matrix of 10 × 12");
  await backend.close();
  await expect(backend.sigmaMax(matrix)).rejects.toThrow("sigmaMax was called after close");
});
