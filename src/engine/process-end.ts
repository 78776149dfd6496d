/** What the end of an engine's process means, in words, and what to do. */

/** Sent by somebody else: the system that is out of memory, a person, a batch system at its time limit. */
const SENT: ReadonlySet<string> = new Set(["SIGKILL", "SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGXCPU"]);

const MEANING: Readonly<Record<string, string>> = {
  SIGKILL:
    "somebody killed it, most often the system when memory runs out; free memory or use a smaller model or context, and give the command again",
  SIGTERM: "somebody told it to stop; give the command again",
  SIGXCPU: "its limit of processor time is used up; raise the limit (ulimit -t) and give the command again",
  SIGBUS:
    "a file that it had mapped lost its end or could not be read; check the disk and the model, and give the command again",
  SIGSEGV: "a fault in native code; type prism doctor, and report this where that finds nothing",
  SIGILL: "an instruction that this processor does not have; type prism doctor",
  SIGABRT: "it gave up, its last lines say why; free memory where they speak of that, else check the model",
};

/** What a process out of memory says before it ends, and what is said where none can be started. */
const NO_ROOM =
  /bad_alloc|out of memory|cannot allocate memory|resource temporarily unavailable|ENOMEM|EAGAIN|EMFILE|ENFILE/i;

/** "(SIGKILL): somebody killed it, …", "(exit code 3)". `how`: the name of a signal, or other words; `why`, where known. */
export function describeEnd(how: string, why = MEANING[how]): string {
  return why === undefined ? `(${how})` : `(${how}): ${why}`;
}

/** Whether a process ended for want of room or because it was sent a signal, whatever is loaded in it. */
export function wasEndedFromOutside(how: string, said: readonly string[]): boolean {
  return SENT.has(how) || NO_ROOM.test([how, ...said].join("\n"));
}
