/**
 * The line that ends the log of a call, followed by its id. The child writes it to stderr before it replies: log and
 * reply travel by different pipes, and the reply may overtake the log. No line of the library starts so.
 */
export const LOG_END = "\u0001end of log";

/** The first line of a child: what ends it before is koffi's fault. */
export const KOFFI_LOADED = "\u0001koffi is loaded";
