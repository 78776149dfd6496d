/** Damages bytes in the ways that disks, networks and strangers do. */
import type { Draw } from "./draw.ts";

/** Counts, lengths and offsets that a parser would rather not meet; as u64. */
const HOSTILE_U64 = [
  0n,
  1n,
  2n,
  7n,
  0x7fn,
  0xffn,
  0xffffn,
  0x7fffffffn,
  0x80000000n,
  0xffffffffn,
  0x100000000n,
  2n ** 40n,
  2n ** 53n,
  2n ** 53n + 1n,
  2n ** 60n,
  2n ** 63n - 1n,
  2n ** 63n,
  2n ** 64n - 1n,
] as const;

type Mutation = (bytes: Uint8Array, draw: Draw) => Uint8Array;

const MUTATIONS: readonly Mutation[] = [flipBits, flipBits, truncate, splice, overwrite32, overwrite64, fill, insert];

/** One to four damages; `near` is the length of the part where they tell the most (a header). */
export function mutateBytes(bytes: Uint8Array, draw: Draw, near = bytes.length): Uint8Array {
  const head = bytes.subarray(0, near);
  let damaged: Uint8Array = Uint8Array.from(draw.chance(0.8) ? head : bytes);
  const rest = damaged.length === head.length ? bytes.subarray(near) : new Uint8Array();
  for (let times = 1 + draw.below(4); times > 0; times--) damaged = draw.pick(MUTATIONS)(damaged, draw);
  // a shortened header keeps the data behind it in half of the cases: shifted, as after a lost packet
  return draw.chance(0.5) ? Uint8Array.from([...damaged, ...rest]) : padTo(damaged, rest);
}

function padTo(head: Uint8Array, rest: Uint8Array): Uint8Array {
  const whole = new Uint8Array(head.length + rest.length);
  whole.set(head);
  whole.set(rest, head.length);
  return whole;
}

function flipBits(bytes: Uint8Array, draw: Draw): Uint8Array {
  for (let times = 1 + draw.below(8); times > 0 && bytes.length > 0; times--) {
    const at = draw.below(bytes.length);
    bytes[at] = (bytes[at] as number) ^ (1 << draw.below(8));
  }
  return bytes;
}

function truncate(bytes: Uint8Array, draw: Draw): Uint8Array {
  return bytes.slice(0, draw.below(bytes.length + 1));
}

/** A piece of the file put elsewhere in it. */
function splice(bytes: Uint8Array, draw: Draw): Uint8Array {
  const from = draw.below(bytes.length + 1);
  const piece = bytes.slice(from, from + draw.below(256));
  const to = draw.below(bytes.length + 1);
  return Uint8Array.from([...bytes.subarray(0, to), ...piece, ...bytes.subarray(draw.chance(0.5) ? to : from)]);
}

function overwrite32(bytes: Uint8Array, draw: Draw): Uint8Array {
  if (bytes.length < 4) return bytes;
  const value = Number(draw.pick(HOSTILE_U64) & 0xffffffffn);
  new DataView(bytes.buffer, bytes.byteOffset).setUint32(draw.below(bytes.length - 3), value, true);
  return bytes;
}

function overwrite64(bytes: Uint8Array, draw: Draw): Uint8Array {
  if (bytes.length < 8) return bytes;
  new DataView(bytes.buffer, bytes.byteOffset).setBigUint64(draw.below(bytes.length - 7), draw.pick(HOSTILE_U64), true);
  return bytes;
}

function fill(bytes: Uint8Array, draw: Draw): Uint8Array {
  const from = draw.below(bytes.length + 1);
  return bytes.fill(draw.pick([0, 0xff, 0x20, 0x7f]), from, from + draw.below(512));
}

function insert(bytes: Uint8Array, draw: Draw): Uint8Array {
  const at = draw.below(bytes.length + 1);
  const noise = Uint8Array.from({ length: 1 + draw.below(64) }, () => draw.below(256));
  return Uint8Array.from([...bytes.subarray(0, at), ...noise, ...bytes.subarray(at)]);
}
