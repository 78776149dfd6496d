/** A file a person takes away, as a run lists it. */
import * as t from "../documents/fields.ts";

export const OUTPUT_FILE = t.object({
  path: t.name(),
  fileBytes: t.bytes(),
  sha256: t.text("Hexadecimal digits, as sha256sum prints them."),
});
export interface OutputFile extends t.Content<typeof OUTPUT_FILE> {}
