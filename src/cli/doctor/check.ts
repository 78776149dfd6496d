/** One thing the doctor looked at. */
export interface Check {
  readonly name: string;
  /** `missing`: PRISM can't work without it; `absent`: something optional is not there. */
  readonly status: "ok" | "absent" | "missing";
  readonly detail: string;
  readonly remedy?: string;
}
