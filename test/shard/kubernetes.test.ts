import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { copyFile, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import type { JobManifest } from "../../src/shard/engines/kubernetes.ts";
import { MODEL, type Outcome, prism, scratchFolder } from "../cli/prism.ts";
import { expectOnePartEach } from "./workers.ts";

const KUBECTL = "/usr/bin/kubectl";
const BACKEND = ["--backend", "reference"];
/** Of Kubernetes' own words, of YAML's and of a shell's. */
const HOSTILE = "a: b'$(JOB_COMPLETION_INDEX)\"%j\n- $$x #";

const folder = scratchFolder();
const data = join(folder.path, "data");
const oneLine = (text: string) => text.replaceAll(/\s+/g, " ");
afterAll(folder.remove);

const shard = (...args: readonly string[]): Promise<Outcome> => prism(["shard", ...args], folder.path);
const submit = (...options: readonly string[]) =>
  shard("submit", `data/c/${HOSTILE}`, "--k8s", "--image", "registry.example/prism:1", ...options);
const GOOD = ["--threads", "2", `--claim=data=${data}`];

beforeAll(async () => {
  mkdirSync(data);
  await copyFile(MODEL, join(data, "model.gguf"));
  const plan = ["plan", "data/model.gguf", "--dir", `data/c/${HOSTILE}`, "--jobs", "3", ...BACKEND, "--quiet"];
  const { code, stderr } = await shard(...plan);
  expect(code, stderr).toBe(0);
});

async function manifest(...options: readonly string[]): Promise<JobManifest> {
  const { code, stderr } = await submit(...GOOD, "-o", "job.yaml", "--force", ...options);
  expect(code, stderr).toBe(0);
  return parse(await readFile(join(folder.path, "job.yaml"), "utf8"));
}

test.skipIf(!existsSync(KUBECTL))(`kubectl knows every field (skipped without ${KUBECTL})`, async () => {
  const written = await manifest("--memory", "1500MB");
  // it keeps what it has a type for
  const words = ["set", "image", "--local", "-f", join(folder.path, "job.yaml"), "worker=registry.example/prism:2"];
  const known = JSON.parse(execFileSync(KUBECTL, [...words, "-o", "json"], { encoding: "utf8" }));
  const [container] = written.spec.template.spec.containers;
  Object.assign(container ?? {}, { image: "registry.example/prism:2" });
  expect(known).toMatchObject(written);
});

test("what pods would not see, and what is missing, is refused", async () => {
  const outside = await submit("--threads", "2", `--claim=data=${join(data, "other")}`);
  expect([outside.code, oneLine(outside.stderr)]).toEqual([2, expect.stringContaining("pods would not see")]);
  // the model lies beside the campaign
  const half = await submit("--threads", "2", `--claim=data=${join(data, "c")}`);
  expect([half.code, oneLine(half.stderr)]).toEqual([2, expect.stringContaining(`see ${join(data, "model.gguf")};`)]);
  expect(oneLine((await submit("--claim=data")).stderr)).toContain("--threads");
  expect(oneLine((await submit("--threads", "2", "--claim=data")).stderr)).toContain("expected NAME=PATH");
  expect(oneLine((await submit(...GOOD, "--slurm")).stderr)).toContain("one of --slurm, --redis and --k8s");
});

test("the commands of the pods do the campaign, index by index; all done there is nothing to write", async () => {
  const { spec } = await manifest("--memory", "2GiB");
  const [container] = spec.template.spec.containers;
  expect(container?.resources.requests).toEqual({ cpu: "2", memory: "4096Mi" });
  for (let index = 0; index < spec.completions; index++) {
    // as kubelet does it
    const words = [...(container?.command ?? []), ...(container?.args ?? [])].map((word) =>
      word.replaceAll(/\$(\$|\(JOB_COMPLETION_INDEX\))/g, (_, what) => (what === "$" ? "$" : String(index))),
    );
    const { code, stderr } = await prism(words.slice(1), "/");
    expect(code, stderr).toBe(0);
  }
  expect(spec.completions).toBe(3);
  await expectOnePartEach(join(data, "c", HOSTILE), ["json"]);
  expect((await submit(...GOOD)).stdout).toContain("nothing to submit");
});
