/**
 * The name that people read in the place of a row's label. Labels identify rows in documents and stay; tables, pages and
 * cards show these.
 */

const SHOWN: Readonly<Record<string, string>> = {
  "s = elements": "no sensitivity",
  "plan without head guard": "no head guard",
};

/** "no sensitivity" for "s = elements", "shuffled plan 2" for "shuffle 2", "Q3_K_M no imatrix", "plan + feedback". */
export function shownLabel(label: string): string {
  const known = SHOWN[label];
  if (known !== undefined) return known;
  return label
    .replace(/^shuffle (\d+)$/, "shuffled plan $1")
    .replace(/^(.+) without imatrix$/, "$1 no imatrix")
    .replace(/^(.+), error feedback$/, "$1 + feedback");
}
