/** The options of error feedback, and the steps that it counts. */
import { Option } from "commander";
import type { Announce } from "./follow-progress.ts";

/** Text for it, in every command that has it. */
export const calibrationOption = () =>
  new Option(
    "--calibration <file...>",
    "text for --feedback, a file a kind, own for what the model writes; default: that, and the text that comes with prism",
  );

/** In commands that measure or plan for it. */
export const feedbackOption = () =>
  new Option("--feedback", "count with what error feedback leaves of each error (prism quantize --feedback)");

/** What each step counts. */
export function announceFeedback(what: string): ReturnType<Announce> {
  if (what === "sampling text") return { stage: what, unit: "steps" };
  if (what.startsWith("inputs")) return { stage: what, unit: "chunks" };
  return what === "choosing codes" || what === "what feedback mends" ? { stage: what, unit: "tensors" } : undefined;
}
