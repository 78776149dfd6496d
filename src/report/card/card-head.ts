/** The beginning of a card as a person checks it: what the Hub reads of it, and its title. */

/** Lines of the metadata that are shown; a card has some ten, a person may have added more. */
const MOST_LINES = 24;

/** The metadata between the first two lines of dashes, and the first heading. */
export function cardHead(text: string): string[] {
  const lines = text.split(/\r?\n/);
  const end = lines[0] === "---" ? lines.indexOf("---", 1) : -1;
  const metadata = lines.slice(1, Math.max(1, end));
  const cut = metadata.length > MOST_LINES ? ["..."] : [];
  const title = lines.slice(end + 1).find((line) => line.startsWith("# "));
  return [...metadata.slice(0, MOST_LINES), ...cut, ...(title === undefined ? [] : [title])];
}
