/**
 * Bundle what dist/ can't get from a package: the page of a report for browsers, the SVG renderer with the part of
 * echarts it uses (the package is 60 times larger), and the two faces of DejaVu Sans that letters of PNG files are drawn
 * with (the package has twenty more). Run by `npm run build`, after tsc.
 */
import { copyFile, mkdir } from "node:fs/promises";
import { basename, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const root = resolve(import.meta.dirname, "../..");

const settings = {
  bundle: true,
  minify: true,
  legalComments: "inline",
  define: { "process.env.NODE_ENV": '"production"' },
};

await build({
  ...settings,
  entryPoints: [resolve(root, "dist/report/charts/render-svg.js")],
  outfile: resolve(root, "dist/report/charts/render-svg.js"),
  allowOverwrite: true,
  format: "esm",
  platform: "node",
  target: "node20",
});
await build({
  ...settings,
  entryPoints: [resolve(root, "src/report/page/main.ts"), resolve(root, "src/report/page/page.css")],
  outdir: resolve(root, "dist/report"),
  entryNames: "[dir]/page",
  outbase: resolve(root, "src/report/page"),
  format: "iife",
  platform: "browser",
  target: ["chrome109", "firefox115", "safari16"],
});

const fonts = resolve(root, "dist/report/fonts");
await mkdir(fonts, { recursive: true });
for (const name of ["ttf/DejaVuSans.ttf", "ttf/DejaVuSans-Bold.ttf", "LICENSE"]) {
  await copyFile(fileURLToPath(import.meta.resolve(`dejavu-fonts-ttf/${name}`)), resolve(fonts, basename(name)));
}
