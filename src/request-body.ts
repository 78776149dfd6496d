/**
 * The body of a request as text. Bodies are bounded one by one and together, until their requests are answered: requests
 * that wait hold theirs, and a client need not say beforehand how much it sends.
 */
import { PrismError } from "./errors.ts";
import { type NodeBindings, saysJson, whenOver } from "./local-server.ts";

/** A body that is not taken; `status` is HTTP's. */
export class BodyError extends PrismError {
  readonly status: 400 | 413 | 415 | 429;

  constructor(status: BodyError["status"], message: string) {
    super("body", 1, message);
    this.status = status;
  }
}

export interface BodyLimits {
  /** Bytes of one body. */
  readonly most: number;
  /** Bytes of all bodies whose requests are not answered yet. */
  readonly mostHeld: number;
  /** What to say of one that is too large. */
  readonly tooLarge: string;
}

const FIRST_ROOM = 65_536;

/** A reader of JSON bodies. It throws BodyError; what it returns is counted as held until the request is answered. */
export function createBodyReader({ most, mostHeld, tooLarge }: BodyLimits) {
  let held = 0;
  return async (bindings: NodeBindings): Promise<string> => {
    const { headers } = bindings.incoming;
    if (!saysJson(headers["content-type"])) {
      throw new BodyError(415, "send the request with Content-Type: application/json");
    }
    if ((headers["content-encoding"] ?? "identity").toLowerCase() !== "identity") {
      throw new BodyError(415, "send the request without Content-Encoding; compressed bodies are not taken");
    }
    if (Number(headers["content-length"] ?? 0) > most) throw new BodyError(413, tooLarge);
    let own = 0;
    whenOver(bindings, () => {
      held -= own;
      own = 0;
    });
    // One buffer that grows: a client may send a byte a piece, and a piece takes hundreds to keep.
    let room = new Uint8Array(FIRST_ROOM);
    for await (const piece of bindings.incoming.iterator({ destroyOnReturn: false })) {
      const { length } = piece as Buffer;
      if (own + length > most) throw new BodyError(413, tooLarge);
      if (held + length > mostHeld) {
        throw new BodyError(429, "the requests that wait hold as much as the server may keep; come back later");
      }
      if (own + length > room.length) {
        const grown = new Uint8Array(Math.min(most, Math.max(own + length, 2 * room.length)));
        grown.set(room.subarray(0, own));
        room = grown;
      }
      room.set(piece as Buffer, own);
      own += length;
      held += length;
    }
    return decode(room.subarray(0, own));
  };
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new BodyError(400, "the body is not valid UTF-8");
  }
}
