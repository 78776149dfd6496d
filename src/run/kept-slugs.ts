/** The rows whose models a run always keeps, and what these are called. */
export const KEPT_SLUGS = { plan: "plan", feedback: "plan-feedback" } as const;

/** The same of a plan by its own name: a member of a family. */
export function codedSlug(slug: string): string {
  return `${slug}-feedback`;
}

export function isAlwaysKept(kind: string): kind is keyof typeof KEPT_SLUGS {
  return kind in KEPT_SLUGS;
}
