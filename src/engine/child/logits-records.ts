/** Records of the logits file, read and written at their place. Synchronous: the child has nothing else to do. */
import { closeSync, openSync, readSync, writeSync } from "node:fs";

/** Where the records of a request's first chunk lie. */
export interface RecordsPlace {
  readonly path: string;
  readonly offset: number;
}

/** Write records `skipBytes` after the place. */
export function writeRecords(place: RecordsPlace, skipBytes: number, records: Uint16Array): void {
  const bytes = new Uint8Array(records.buffer, records.byteOffset, records.byteLength);
  const file = openSync(place.path, "r+");
  try {
    for (let done = 0; done < bytes.length; ) {
      done += writeSync(file, bytes, done, bytes.length - done, place.offset + skipBytes + done);
    }
  } finally {
    closeSync(file);
  }
}

/** Fill `records` from `skipBytes` after the place. Throws an Error where the file ends before. */
export function readRecords(place: RecordsPlace, skipBytes: number, records: Uint16Array): void {
  const bytes = new Uint8Array(records.buffer, records.byteOffset, records.byteLength);
  const file = openSync(place.path, "r");
  try {
    for (let done = 0; done < bytes.length; ) {
      const got = readSync(file, bytes, done, bytes.length - done, place.offset + skipBytes + done);
      if (got === 0) throw new Error(`${place.path} ends inside a chunk's logits; delete it and evaluate again`);
      done += got;
    }
  } finally {
    closeSync(file);
  }
}
