/** Light or dark: as the system says until the button says otherwise; light on paper. */
import { type ChartTheme, DARK_THEME, LIGHT_THEME } from "../charts/theme.ts";
import { byId } from "./dom.ts";

const KEY = "prism-theme";

/** Follow the system, the button and the printer; `redraw` is called after every change. Returns the theme now. */
export function followTheme(redraw: () => void): () => ChartTheme {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = byId<HTMLButtonElement>("theme");
  let chosen = stored();
  let printing = false;
  const isDark = () => !printing && (chosen ?? (dark.matches ? "dark" : "light")) === "dark";
  const apply = () => {
    document.documentElement.dataset.theme = isDark() ? "dark" : "light";
    button.setAttribute("aria-pressed", String(isDark()));
  };
  const change = () => {
    apply();
    redraw();
  };
  dark.addEventListener("change", change);
  button.addEventListener("click", () => {
    chosen = isDark() ? "light" : "dark";
    store(chosen);
    change();
  });
  for (const [event, now] of [
    ["beforeprint", true],
    ["afterprint", false],
  ] as const) {
    addEventListener(event, () => {
      printing = now;
      change();
    });
  }
  apply();
  return () => (isDark() ? DARK_THEME : LIGHT_THEME);
}

/** Storage may be off for pages that are opened from a disk: then the choice holds until the page is closed. */
function stored(): "light" | "dark" | undefined {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : undefined;
  } catch {
    return undefined;
  }
}

function store(value: string): void {
  try {
    localStorage.setItem(KEY, value);
  } catch {
    document.documentElement.dataset.theme = value;
  }
}
