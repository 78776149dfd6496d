/**
 * A picture that is ranked: PNG, JPEG or WebP, from a file of a set or from a request. Its header is held to bounds before
 * anything decodes it: a few kilobytes may say that they are gigabytes of pixels.
 */
import { imageSize } from "image-size";

export interface Picture {
  /** Its bytes, as a llama-server takes them. */
  readonly base64: string;
  /** Pixels. */
  readonly width: number;
  readonly height: number;
  /** What a set calls its file; absent for one out of a request. */
  readonly name?: string;
}

/** Bytes of a picture's file. */
export const MOST_PICTURE_BYTES = 2 ** 25;
/** 200 MB of RGB where a llama-server decodes it; models look at 1 to 4 million pixels. */
const MOST_PIXELS = 2 ** 26;
/** The preparation of Qwen's vision models refuses longer ones. */
const MOST_RATIO = 200;
/** Bytes in which a header has said its size: profiles and previews stand before it. */
const HEADER_BYTES = 2 ** 20;

/** How each format that is taken ends: what is cut off is decoded as grey, or refused by the server without a name. */
const COMPLETE: Readonly<Record<string, (bytes: Buffer) => boolean>> = {
  png: (bytes) => bytes.lastIndexOf("IEND", undefined, "latin1") > 0,
  jpg: (bytes) => bytes.lastIndexOf(Buffer.of(0xff, 0xd9)) > 0,
  webp: (bytes) => bytes.readUInt32LE(4) + 8 <= bytes.length,
};

/** Check a picture. Throws what `wrong` makes of the reason. */
export function checkPicture(bytes: Buffer, wrong: (reason: string) => Error, name?: string): Picture {
  if (bytes.length > MOST_PICTURE_BYTES) {
    throw wrong(`has ${bytes.length} bytes, at most ${MOST_PICTURE_BYTES} are taken; make it smaller`);
  }
  const header = readHeader(bytes);
  const isComplete = COMPLETE[header?.type ?? ""];
  if (header === undefined || isComplete === undefined) throw wrong("is no PNG, JPEG or WebP picture");
  const { width, height } = header;
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  if (short < 1) throw wrong(`says that it is ${width}×${height} pixels`);
  if (width * height > MOST_PIXELS) {
    throw wrong(`is ${width}×${height}, more than the ${MOST_PIXELS} pixels that are taken; make it smaller`);
  }
  if (long > MOST_RATIO * short) throw wrong(`is ${width}×${height}, more than ${MOST_RATIO} times as long as wide`);
  if (!isComplete(bytes)) throw wrong("is cut off");
  return { base64: bytes.toString("base64"), width, height, ...(name === undefined ? {} : { name }) };
}

/** What the header says; undefined where it can't be read. */
function readHeader(bytes: Buffer): ReturnType<typeof imageSize> | undefined {
  try {
    return imageSize(bytes.subarray(0, HEADER_BYTES));
  } catch {
    return undefined;
  }
}
