/** A GPU for tests: the Vulkan build of the engine, on whatever device there is, a program that plays one included. */
import { openEmbeddedEngine } from "../../src/engine/embedded.ts";

/** ggml leaves devices that are processors alone until they are named. */
process.env.GGML_VK_VISIBLE_DEVICES ??= "0";

/** Why there is no GPU to test with, or undefined. */
export const vulkanProblem: string | undefined = (await openEmbeddedEngine({ threads: 1, gpuLayers: 1 }).then(
  (engine) => engine.close(),
  (error: Error) => error.message,
)) as string | undefined;

/** A program that plays a GPU compiles every shader when it first meets it, for minutes in all. */
export const COMPILING_MS = 600_000;

/** What the name of a group of tests says besides. */
export const whyNot = vulkanProblem === undefined ? "" : `: ${vulkanProblem}`;
