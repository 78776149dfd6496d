/** A file a person takes away, as a run lists it. */
import { bytes, type Content, name, object, text } from "../documents/fields.ts";

export const OUTPUT_FILE = object({
  path: name(),
  fileBytes: bytes(),
  sha256: text("Hexadecimal digits, as sha256sum prints them."),
});
export interface OutputFile extends Content<typeof OUTPUT_FILE> {}
