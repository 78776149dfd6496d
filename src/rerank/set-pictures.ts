/** The pictures that the lines of a set name, by paths from the set's folder. */
import { basename, dirname, resolve } from "node:path";
import { type FileLimit, readWhole } from "../documents/whole-file.ts";
import { type FormatError, PrismError } from "../errors.ts";
import { checkPicture, MOST_PICTURE_BYTES, type Picture } from "./picture.ts";
import type { RankContent } from "./rank-content.ts";
import type { RerankLine, SetLine } from "./rerank-set.ts";

const PICTURE: FileLimit = { noun: "a picture", maxBytes: MOST_PICTURE_BYTES, remedy: "make it smaller" };
/** Of all pictures of a set, which are held together. */
const MOST_BYTES = 2 ** 28;

export interface SetPictures {
  /** A text as it is, a picture read; throws FormatError that names the line. */
  read(content: RerankLine["query"], where: string, wrong: SetLine["wrong"]): Promise<RankContent>;
  /** The bytes of each file, in the order of reading. */
  readonly files: readonly Buffer[];
}

/** Read the pictures of the set at `path`, each file once. */
export function openSetPictures(path: string): SetPictures {
  const known = new Map<string, Picture>();
  const files: Buffer[] = [];
  const readPicture = async (image: string, wrong: (reason: string, cause?: unknown) => FormatError) => {
    if (image.startsWith("data:")) throw wrong("expected the path of a picture, got a data URL; save it as a file");
    const bytes = await readWhole(resolve(dirname(path), image), PICTURE).catch((error: unknown) => {
      throw error instanceof PrismError ? wrong(error.message, error) : error;
    });
    const picture = checkPicture(bytes, (reason) => wrong(`${image} ${reason}`), basename(image));
    files.push(bytes);
    if (files.reduce((sum, { length }) => sum + length, 0) > MOST_BYTES) {
      throw wrong(`the pictures up to here have more than ${MOST_BYTES} bytes; make them smaller, or divide the set`);
    }
    return picture;
  };
  return {
    files,
    async read(content, where, wrong) {
      if (typeof content === "string") return content;
      const { image, text } = content;
      const picture =
        known.get(image) ?? (await readPicture(image, (reason, cause) => wrong(`${where}.image: ${reason}`, cause)));
      known.set(image, picture);
      return text === undefined ? { picture } : { picture, text };
    },
  };
}
