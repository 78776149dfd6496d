/** Reads and writes of whole pieces of files, which the system may do in parts. */
import { closeSync, openSync, readSync, writeSync } from "node:fs";

/** Throws an Error where the file ends early. */
export function readExactly(file: number, position: number, bytes: number): Uint8Array {
  const data = new Uint8Array(bytes);
  for (let done = 0; done < bytes; ) {
    const read = readSync(file, data, done, bytes - done, position + done);
    if (read === 0) throw new Error(`the model's file ends before byte ${position + bytes}`);
    done += read;
  }
  return data;
}

export function writeExactly(file: number, position: number, data: Uint8Array): void {
  for (let done = 0; done < data.length; ) {
    done += writeSync(file, data, done, data.length - done, position + done);
  }
}

export async function withFile<Result>(
  path: string,
  work: (file: number) => Result | Promise<Result>,
): Promise<Result> {
  const file = openSync(path, "r");
  try {
    return await work(file);
  } finally {
    closeSync(file);
  }
}
