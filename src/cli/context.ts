/** What every command is given. */
export interface CommandContext {
  /** Aborted by Ctrl-C; a command then cleans up and throws its reason. */
  readonly signal: AbortSignal;
}
