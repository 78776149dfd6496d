/** Kubernetes: the manifest of an Indexed Job, whose pods do an index each. Nothing is sent anywhere. */
import { readdir, readlink, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { DEFAULT_MEMORY_BYTES } from "../../analyze/memory-budget.ts";
import { UsageError } from "../../errors.ts";
import { engineName } from "../submission.ts";
import type { Handover } from "./engine.ts";
import { hasOwnIndex, workerWords } from "./worker-command.ts";

/** Of an index: what a worker can't do is given up by the campaign's own count. */
const MOST_RETRIES = 9;
/** Exit codes that no retry changes: the command line, the engine, and what was given up. */
const FINAL_CODES = [2, 4, 7];
/** What a worker takes besides weights. */
const BESIDES_BYTES = 2 * 2 ** 30;

export interface KubernetesRequest {
  /** With `prism` on its path. */
  readonly image: string;
  /** NAME=PATH: a persistent volume claim, and where its files lie on this machine. */
  readonly claims: readonly string[];
  /** Processors of a pod. */
  readonly threads: number;
}

export type JobManifest = ReturnType<typeof jobOf>;

/** The manifest. Throws UsageError where pods would not see the campaign or its model by the paths they have here. */
export async function kubernetesJob(handover: Handover, request: KubernetesRequest): Promise<JobManifest> {
  const claims = request.claims.map(parseClaim);
  const { directory } = handover;
  const paths = [directory, ...(await modelFiles(directory))];
  const outside = paths.find((path) => !claims.some(({ mountPath }) => isBelow(path, mountPath)));
  if (outside !== undefined) {
    throw new UsageError(
      `--claim: pods would not see ${outside}; name the claim that holds it and where it is mounted here, like --claim data=/shared`,
    );
  }
  return jobOf(handover, request, claims);
}

interface Claim {
  readonly claimName: string;
  readonly mountPath: string;
}

function parseClaim(text: string): Claim {
  const [, claimName, mountPath] = /^([a-z0-9](?:[-a-z0-9.]{0,251}[a-z0-9])?)=(\/.*)$/su.exec(text) ?? [];
  // Kubernetes takes no colon in the path of a mount
  if (claimName !== undefined && mountPath !== undefined && !mountPath.includes(":")) return { claimName, mountPath };
  throw new UsageError(`--claim ${text}: expected NAME=PATH, like data=/shared, an absolute path without a colon`);
}

/** What the links of the campaign lead to, on the way and at the end. */
async function modelFiles(directory: string): Promise<readonly string[]> {
  const found: string[] = [];
  for (const folder of ["model", "candidates"]) {
    for (const name of await readdir(join(directory, folder), { recursive: true }).catch(() => [])) {
      const link = join(directory, folder, name);
      const target = await readlink(link).catch(() => undefined);
      // of candidates there are folders too
      if (target !== undefined) found.push(resolve(dirname(link), target), await realpath(link));
    }
  }
  return found;
}

function isBelow(path: string, folder: string): boolean {
  const between = relative(folder, path);
  return between !== ".." && !between.startsWith(`..${sep}`) && !isAbsolute(between);
}

function jobOf({ directory, campaign, worker }: Handover, request: KubernetesRequest, claims: readonly Claim[]) {
  const { image, threads } = request;
  const { jobs } = campaign;
  const memory = Math.ceil(((worker.memory ?? DEFAULT_MEMORY_BYTES) + BESIDES_BYTES) / 2 ** 20);
  return {
    apiVersion: "batch/v1",
    kind: "Job",
    metadata: { name: engineName(campaign), labels: { "app.kubernetes.io/name": "prism" } },
    spec: {
      completionMode: "Indexed",
      completions: jobs,
      parallelism: jobs,
      backoffLimitPerIndex: MOST_RETRIES,
      podFailurePolicy: {
        rules: [
          { action: "Ignore", onPodConditions: [{ type: "DisruptionTarget", status: "True" }] },
          { action: "FailIndex", onExitCodes: { containerName: "worker", operator: "In", values: FINAL_CODES } },
        ],
      },
      template: {
        metadata: { labels: { "app.kubernetes.io/name": "prism" } },
        spec: {
          restartPolicy: "Never",
          automountServiceAccountToken: false,
          containers: [
            {
              name: "worker",
              image,
              command: ["prism", "shard", "run"],
              args: [
                literal(directory),
                ...(hasOwnIndex(campaign) ? ["--index", "$(JOB_COMPLETION_INDEX)"] : []),
                "--threads",
                String(threads),
                ...workerWords(worker).map(literal),
              ],
              resources: { requests: { cpu: String(threads), memory: `${memory}Mi` } },
              securityContext: { allowPrivilegeEscalation: false },
              volumeMounts: claims.map(({ mountPath }, index) => ({ name: `claim-${index}`, mountPath })),
            },
          ],
          volumes: claims.map(({ claimName }, index) => ({
            name: `claim-${index}`,
            persistentVolumeClaim: { claimName },
          })),
        },
      },
    },
  };
}

/** A word in which Kubernetes replaces no $(NAME). */
function literal(word: string): string {
  return word.replaceAll("$", "$$$$");
}
