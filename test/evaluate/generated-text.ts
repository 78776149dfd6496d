/** A text of English words drawn with a fixed seed: as many as a test needs, the same on every machine. */
import { createRandom } from "../../src/random.ts";

const WORDS = (
  "the of and to a in that he was it his I with as had you for she not at but be on her is him they all have said " +
  "which from this by one were so there when what their would been no if who them will an out up into then some could " +
  "time man now old house door little great night day long hand eyes went came never before again"
).split(" ");

export function generateText(words: number, seed = 1): string {
  const random = createRandom(seed);
  const text: string[] = [];
  for (let word = 0; word < words; word++) {
    const next = WORDS[Math.floor(random() * WORDS.length)] ?? "";
    text.push(random() < 0.1 ? `${next}.` : next);
  }
  return `${text.join(" ")}\n`;
}
