/** A campaign handed to what starts workers in a lab. */
import { resolve } from "node:path";
import { stringify } from "yaml";
import { writeFileAside } from "../disk/aside-file.ts";
import { IncompleteError, UsageError } from "../errors.ts";
import { readCampaign } from "../shard/campaign.ts";
import type { Handover } from "../shard/engines/engine.ts";
import { type JobManifest, kubernetesJob } from "../shard/engines/kubernetes.ts";
import { submitToRedis } from "../shard/engines/redis-queue.ts";
import { submitToSlurm } from "../shard/engines/slurm.ts";
import { campaignStatus } from "../shard/status.ts";
import type { Submission } from "../shard/submission.ts";
import { checkOutputs } from "./check-outputs.ts";
import { refuseOptions } from "./given-option.ts";

export interface SubmitRequest {
  readonly slurm?: boolean | undefined;
  /** For sbatch. */
  readonly slurmOption?: readonly string[] | undefined;
  /** Its URL. */
  readonly redis?: string | undefined;
  /** Write a manifest for Kubernetes. */
  readonly k8s?: boolean | undefined;
  readonly image?: string | undefined;
  /** NAME=PATH each. */
  readonly claim?: readonly string[] | undefined;
  /** Of the manifest. */
  readonly out?: string | undefined;
  readonly force?: boolean | undefined;
  readonly threads?: number | undefined;
  readonly memory?: number | undefined;
  readonly backend?: string | undefined;
  readonly cache?: boolean | undefined;
}

/** What is to be given to kubectl. */
export interface KubernetesJob {
  readonly manifest: JobManifest;
  /** The same in YAML. */
  readonly text: string;
}

/**
 * Hand over the indexes that are open; undefined where none is. Throws UsageError where the engine has them already,
 * IncompleteError where all that is left was given up.
 */
export async function submitShards(
  directory: string,
  request: SubmitRequest,
  signal?: AbortSignal,
): Promise<Submission | KubernetesJob | undefined> {
  checkRequest(request);
  const { slurm, slurmOption, redis, threads, memory, backend, cache } = request;
  const campaign = await readCampaign(directory);
  const { openJobs, poisoned, isOver = true } = await campaignStatus(directory);
  // of rounds that are not decided anything may be open
  const indexes = isOver ? openJobs : Array.from({ length: campaign.jobs }, (_, index) => index);
  if (openJobs.length === 0 && (isOver || poisoned.length > 0)) {
    if (poisoned.length === 0) return undefined;
    throw new IncompleteError(
      `${directory}: nothing is open, and ${poisoned.length} units were given up (prism shard status names them); give prism shard retry ${directory} first`,
    );
  }
  const worker = { backend: backend ?? campaign.how.backend, memory, cache };
  const handover: Handover = { directory: resolve(directory), campaign, indexes, worker, signal };
  if (slurm) return submitToSlurm(handover, { threads, options: slurmOption });
  if (redis !== undefined) return submitToRedis(handover, redis);
  return writeJob(handover, request);
}

/** Throws UsageError unless it names one engine, and nothing that this one has not. */
function checkRequest({
  slurm,
  slurmOption,
  redis,
  k8s,
  image,
  claim,
  out,
  threads,
  memory,
  backend,
  cache,
}: SubmitRequest): void {
  if ([slurm, redis, k8s].filter((engine) => engine !== undefined).length !== 1) {
    throw new UsageError("name what is to start the workers: one of --slurm, --redis and --k8s");
  }
  if (!slurm) refuseOptions({ "--slurm-option": slurmOption }, "it is of --slurm");
  if (!k8s) refuseOptions({ "--image": image, "--claim": claim, "--out": out }, "it is of --k8s");
  if (redis !== undefined) {
    const ofWorkers = { "--threads": threads, "--memory": memory, "--backend": backend };
    refuseOptions({ ...ofWorkers, "--no-cache": cache === false || undefined }, "it is of prism shard work");
  }
}

async function writeJob(
  handover: Handover,
  { image, claim = [], threads, out, force }: SubmitRequest,
): Promise<KubernetesJob> {
  if (image === undefined || claim.length === 0 || threads === undefined) {
    throw new UsageError(
      "--k8s: name what a pod is made of: --image with PRISM in it, --claim NAME=PATH for the volume that holds the campaign and its model, and --threads",
    );
  }
  if (out !== undefined) await checkOutputs([out], { inputs: [], force });
  const manifest = await kubernetesJob(handover, { image, claims: claim, threads });
  // lines as long as they are: a path may hold spaces
  const text = stringify(manifest, { lineWidth: 0 });
  if (out !== undefined) await writeFileAside(out, text);
  return { manifest, text };
}
