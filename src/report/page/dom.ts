/** The page's elements: found once, filled with markup whose parts were escaped. */
import type { Markup } from "../html/markup.ts";

/** The element of this id. Throws where the page has none: a defect of ours. */
export function byId<Kind extends HTMLElement = HTMLElement>(id: string): Kind {
  const found = document.getElementById(id);
  if (found === null) throw new Error(`the page has no #${id}`);
  return found as Kind;
}

/** Replace what is in an element. */
export function fill(element: HTMLElement, { html }: Markup): void {
  element.innerHTML = html;
}

/** Call `listener` for clicks on the buttons within that have this data attribute, with its value. */
export function onPress(element: HTMLElement, attribute: string, listener: (value: string) => void): void {
  element.addEventListener("click", (event) => {
    const button = event.target instanceof Element ? event.target.closest(`[data-${attribute}]`) : null;
    if (button !== null) listener(button.getAttribute(`data-${attribute}`) ?? "");
  });
}

/** Offer a file for download. */
export function download(name: string, content: string | Blob, type = "text/plain"): void {
  const blob = typeof content === "string" ? new Blob([content], { type: `${type};charset=utf-8` }) : content;
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** Put a text on the clipboard. False where the browser refuses. */
export async function copyText(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // not allowed here: the old way needs no permission
    const area = document.createElement("textarea");
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}
