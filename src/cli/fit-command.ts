/** Lines of a result, of which commands can still be copied when they are broken. */
import { displayWidth, fitLines } from "../report/terminal/wrap-words.ts";

/** A line to be typed, perhaps after what it is for. */
const COMMAND = /^ *(?:[a-z ]+: )?(?:prism|hf|ollama|llama-[a-z]+) /;

/** A line that sha256sum checks a file by, which it would not find over two lines. */
const CHECKSUM = /^[0-9a-f]{64} {2}./;

/** Break the lines that are too long: commands so that a shell reads them as one, others but checksums as prose. */
export function fitText(text: string, width: number): string {
  return text
    .split("\n")
    .map((line) => fitLine(line, width))
    .join("\n");
}

function fitLine(line: string, width: number): string {
  if (CHECKSUM.test(line)) return line;
  return COMMAND.test(line) ? fitCommand(line, width) : fitLines(line, width);
}

/** Break a command at spaces outside quotes into lines that a shell reads as one. */
export function fitCommand(line: string, width: number, platform: NodeJS.Platform = process.platform): string {
  // cmd.exe and PowerShell go on in other ways, each in its own
  if (platform === "win32" || displayWidth(line) <= width) return line;
  const lines: string[] = [];
  for (const word of commandWords(line)) {
    const last = lines.at(-1);
    // a space and the backslash follow
    if (last !== undefined && displayWidth(last) + 1 + displayWidth(word) + 2 <= width)
      lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(lines.length === 0 ? word : `    ${word}`);
  }
  return lines.join(" \\\n");
}

/** Words as a POSIX shell takes them apart; an option stays with its value. */
function commandWords(line: string): string[] {
  const words = line.match(/(?:[^\s'"\\]|\\.|'[^']*'|"(?:[^"\\]|\\.)*")+/g) ?? [];
  return words.reduce<string[]>((kept, word) => {
    const last = kept.at(-1);
    if (last !== undefined && /^--?[a-z][\w-]*$/.test(last) && !word.startsWith("-"))
      kept[kept.length - 1] = `${last} ${word}`;
    else kept.push(word);
    return kept;
  }, []);
}
