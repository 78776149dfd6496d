/** The options of error feedback. */
import { Option } from "commander";

/** Text for it, in every command that has it. */
export const calibrationOption = () =>
  new Option(
    "--calibration <file...>",
    "text for --feedback, a file a kind, own for what the model writes; default: that, and the text that comes with prism",
  );

/** In commands that measure or plan for it. */
export const feedbackOption = () =>
  new Option("--feedback", "count with what error feedback leaves of each error (prism quantize --feedback)");
