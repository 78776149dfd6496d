/** A query or a document of a request: a text, {text}, or {image, text?} with a data URL; nothing is fetched or opened for it. */
import { UsageError } from "../errors.ts";
import { checkPicture } from "../rerank/picture.ts";
import type { RankContent } from "../rerank/rank-content.ts";
import { type Fields, textField } from "./fields.ts";

const DATA_URL = /^data:image\/(?:png|jpe?g|webp);base64,/i;
const BASE64 = /^[A-Za-z0-9+/]+={0,2}$/;

/** `what` names it in messages. Throws UsageError. */
export function parseContent(value: unknown, what: string): RankContent {
  if (typeof value === "string") return value;
  if (typeof value !== "object" || value === null || Array.isArray(value)) throw unusable(what);
  const fields = value as Fields;
  const image = textField(fields, "image");
  const text = textField(fields, "text");
  if (image === undefined) {
    if (text === undefined) throw unusable(what);
    return text;
  }
  const [start = ""] = DATA_URL.exec(image) ?? [];
  const base64 = image.slice(start.length);
  if (start === "" || !BASE64.test(base64)) {
    throw new UsageError(
      `the image of ${what} must be a data URL: data:image/png;base64,… (or jpeg, webp); addresses and paths are not opened`,
    );
  }
  const wrong = (reason: string) => new UsageError(`the image of ${what} ${reason}`);
  const picture = checkPicture(Buffer.from(base64, "base64"), wrong);
  // an empty text beside a picture says nothing
  return text === undefined || text === "" ? { picture } : { picture, text };
}

function unusable(what: string): UsageError {
  return new UsageError(`${what} must be a text, or an object with a "text" or an "image"`);
}
