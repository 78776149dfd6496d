/** Names that a terminal, a page, a card, a table, a script or a regular expression could take for something else. */
import type { Draw } from "./draw.ts";

/** Stands in every piece that would be run: it shows where quoting failed. */
export const CANARY = "prism_canary";

/** Pieces that are code to somebody. */
export const HOSTILE_PIECES: readonly string[] = [
  ...[
    `$(touch ${CANARY})`,
    `\`touch ${CANARY}\``,
    `'; touch ${CANARY}; '`,
    `"; touch ${CANARY}; "`,
    `\\'; touch ${CANARY} #`,
  ],
  ...[`\n touch ${CANARY}\n`, `& touch ${CANARY} &`, `| touch ${CANARY}`, `END_OF_TENSOR_TYPES\ntouch ${CANARY}`],
  ...[`\u2019; touch ${CANARY} #`, `\u201b + $(touch ${CANARY})`, "'@)", "%PATH%", "$HOME", "~", "!!", "-rf", "--help"],
  ...[`<img src=${CANARY} onerror=alert(1)>`, `"><script>${CANARY}</script>`, `</script><b>${CANARY}`, `<!--${CANARY}`],
  ...[
    `' onload='${CANARY}`,
    `&lt;${CANARY}&gt;`,
    `]]>${CANARY}`,
    `javascript:${CANARY}`,
    `</title><svg onload=${CANARY}>`,
  ],
  ...[
    "| a | b |",
    "`code`",
    "**bold**",
    "\n# heading",
    `[link](javascript:${CANARY})`,
    "---\nkey: value",
    "- item",
    "\\|",
  ],
  ...["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("x")', "a,b", 'a"b', "a\r\nb", "\t=1", ";"],
  ...["\u001b[31mred", "\u001b]0;title\u0007", "\u009b2J", "\u0085", "\u0000", "\u007f", "\b\b\b", "\r over"],
  ...["\u202eright", "\u2066iso", "\u2028", "\u200b", "\ufeff", "\ud800", "\udfff\ud800", "\u{1f600}", "e\u0301"],
  ...["(a+)+$", ".*", "[", "(", "\\", "^", "$", "{1000000}", "[[:alpha:]]", "(?=x)", "\\1", "{0}", "%s%n", "{{7*7}}"],
  ...["__proto__", "constructor", "../../etc/passwd", "/dev/null", "C:\\con", "a".repeat(300), "", " ", "."],
];

const BENIGN = ["blk.0.ffn_down.weight", "model", "output", "token_embd.weight", "a b"] as const;

/** One hostile piece, or several in a row, within a name as they are or alone. */
export function hostileName(draw: Draw): string {
  const pieces = Array.from({ length: 1 + draw.below(3) }, () => draw.pick(HOSTILE_PIECES)).join("");
  return draw.chance(0.5) ? pieces : `${draw.pick(BENIGN)}${pieces}${draw.pick(BENIGN)}`;
}
