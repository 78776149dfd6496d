/**
 * The projector (mmproj) of a model on this machine: a GGUF file beside it that is named so. A name that is left over
 * without "mmproj" and a type must be the beginning of the model's, so that another model's projector is not taken.
 */
import { readdir, stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isRemote } from "../bytes/remote-name.ts";
import { formatCount } from "../bytes/source.ts";
import type { Model } from "../gguf/model.ts";
import { openModel } from "../gguf/open.ts";
import type { Finding } from "./finding-codes.ts";

export interface ProjectorFile {
  readonly path: string;
  readonly fileBytes: number;
}

/** The projectors beside a model, by name; none for remote models and for projectors themselves. */
export async function findProjectors(model: Pick<Model, "path" | "arch">): Promise<ProjectorFile[]> {
  if (model.arch === "clip" || isRemote(model.path)) return [];
  const folder = dirname(model.path);
  const names = await readdir(folder).catch(() => []);
  const found: ProjectorFile[] = [];
  for (const name of names.filter((name) => isProjectorOf(name, basename(model.path))).sort()) {
    const path = join(folder, name);
    if (await isProjector(path)) found.push({ path, fileBytes: (await stat(path)).size });
  }
  return found;
}

function isProjectorOf(name: string, model: string): boolean {
  if (!/\.gguf$/i.test(name) || !/mmproj/i.test(name)) return false;
  const stem = simplified(name.replace(/mmproj/i, "").replace(/model|(bf|f)(16|32)|q8_0/gi, ""));
  return simplified(model).startsWith(stem);
}

function simplified(name: string): string {
  return name
    .replace(/\.gguf$/i, "")
    .replace(/[^a-z0-9]/gi, "")
    .toLowerCase();
}

async function isProjector(path: string): Promise<boolean> {
  const file = await openModel(path).catch(() => undefined);
  await file?.close();
  return file?.model.arch === "clip";
}

/** Tell of the projectors beside a model. */
export function projectorFindings(projectors: readonly ProjectorFile[]): Finding[] {
  return projectors.map(({ path, fileBytes }) => ({
    code: "mmproj-beside",
    severity: "info",
    message: `${basename(path)} (${formatCount(fileBytes)} bytes) is an image or audio projector of this model`,
    remedy: "prism quantize and prism run copy it beside their output; prism ranks images with it, and evaluates text",
  }));
}
