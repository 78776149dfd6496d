/** One headless Chromium for the tests of the page. Where there is none, they skip and say so. */
import { existsSync } from "node:fs";
import { type Browser, type BrowserContext, chromium, type Page } from "playwright-core";

const EXECUTABLE = "/usr/bin/chromium";

/** Why there is no browser; undefined where there is one. */
export const noBrowser: string | undefined = existsSync(EXECUTABLE) ? undefined : `${EXECUTABLE} is not installed`;

const FLAGS = [
  ...["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
  ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
];

export function launch(): Promise<Browser> {
  return chromium.launch({ executablePath: EXECUTABLE, args: FLAGS });
}

export interface Visit {
  readonly page: Page;
  readonly context: BrowserContext;
  /** Console errors and warnings, uncaught errors, blocked content. */
  readonly complaints: string[];
  /** Requests other than the page itself. */
  readonly requests: string[];
}

export interface VisitOptions {
  readonly width?: number;
  readonly theme?: "light" | "dark";
}

/** Open an address in a fresh context and listen to it. */
export async function visit(
  browser: Browser,
  url: string,
  { width = 1280, theme = "light" }: VisitOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({ viewport: { width, height: 900 }, colorScheme: theme });
  const page = await context.newPage();
  const complaints: string[] = [];
  const requests: string[] = [];
  page.on("console", (message) => {
    if (["error", "warning"].includes(message.type())) complaints.push(message.text());
  });
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("request", (request) => {
    if (request.url() !== url && !/^(blob|data):/.test(request.url())) requests.push(request.url());
  });
  await page.goto(url);
  return { page, context, complaints, requests };
}
