/** Names from a file as text on a terminal or in a comment: no control character that could end a line or move a cursor. */
export function printable(text: string): string {
  return [...text].map((char) => (isPrintable(char.codePointAt(0) ?? 0) ? char : "?")).join("");
}

function isPrintable(codePoint: number): boolean {
  const control = codePoint < 0x20 || (codePoint >= 0x7f && codePoint <= 0x9f);
  // line and paragraph separators, and the marks that reorder text
  const invisible = (codePoint >= 0x2028 && codePoint <= 0x202e) || (codePoint >= 0x2066 && codePoint <= 0x2069);
  return !control && !invisible;
}
