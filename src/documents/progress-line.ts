/** A line of `--progress json` (`prism.progress/1`): what a command says on stderr, for programs. */
import { defineDocument } from "./document-kind.ts";
import { ERROR } from "./error-document.ts";
import * as t from "./fields.ts";

export const PROGRESS_LINE = defineDocument({
  id: "prism.progress/1",
  noun: "a line of progress",
  remedy: "run the command again",
  description: "What a command with --progress json writes on stderr: one object a line, and nothing else.",
  schema: t.object({
    schema: t.exactly("prism.progress/1"),
    event: t.oneOf(
      ["progress", "end", "note", "error"],
      "progress: how far it is; end: a stage is over; note: something a person should know; error: the last line, of a command that failed.",
    ),
    elapsedSeconds: t.amount("Since the program began."),
    stage: t.optional(t.some("From 1; absent in work whose stages are not known beforehand.")),
    of: t.optional(t.some("Stages of the command.")),
    label: t.optional(t.text("The stage; without stages what is being done.")),
    part: t.optional(t.some("Which part of the stage, from 1: a file of several.")),
    parts: t.optional(t.some()),
    phase: t.optional(t.text("The kind of what is being done: quantizing, evaluating, ...")),
    doing: t.optional(t.prose("What is being done, in words.")),
    share: t.optional(t.fraction("Of the stage.")),
    totalShare: t.optional(t.fraction("Of all stages, in expected time.")),
    secondsLeft: t.optional(t.amount("Of all stages; absent where nothing is known yet.")),
    seconds: t.optional(t.amount("That the stage took which is over.")),
    text: t.optional(t.prose("Of a note; one that begins with ! is a warning.")),
    error: t.optional(t.given(ERROR, "As --json prints it.")),
  }),
});
export interface ProgressLine extends t.Content<typeof PROGRESS_LINE.schema> {}
