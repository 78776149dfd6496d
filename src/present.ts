/** Documents say nothing of what could not be had: a property that is undefined is left out. */

export type Present<Fields> = {
  readonly [Key in keyof Fields as undefined extends Fields[Key] ? never : Key]: Fields[Key];
} & {
  readonly [Key in keyof Fields as undefined extends Fields[Key] ? Key : never]?: Exclude<Fields[Key], undefined>;
};

/** The fields that have a value, in their order. */
export function present<Fields extends object>(fields: Fields): Present<Fields> {
  return Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)) as Present<Fields>;
}

/** A request with the defaults of its stage: what is absent or undefined takes the default. */
export function withDefaults<Request extends object, Defaults extends Partial<Request>>(
  defaults: Defaults,
  request: Request,
): Omit<Request, keyof Defaults> & {
  readonly [Key in keyof Defaults & keyof Request]-?: Exclude<Request[Key], undefined>;
} {
  return { ...defaults, ...present(request) } as never;
}
