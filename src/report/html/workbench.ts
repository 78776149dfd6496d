/** The map of the model and the tools to plan anew, as the page finds them; page/ fills them. */
import { html, type Markup } from "./markup.ts";

/** The frame of the map; with a plan, the tools to change it. `file`: where the page may save. */
export function renderWorkbench({ planned, file }: { readonly planned: boolean; readonly file?: string }): Markup {
  return html`<section id="map" aria-labelledby="map-title">
<h2 id="map-title">The map</h2>
<p class="lead">Layers across, tensor classes down. Point at a cell, or go there with the arrow keys, to see why it is as it is${planned ? "; change the budget or pin a type, and the plan is made anew by the same allocator" : ""}.</p>
<noscript><p class="lead">The map and the tools below need JavaScript; it stays on this page and asks nothing of any network.</p></noscript>
${planned ? renderTools(file) : undefined}
<div class="workbench">
<div class="map-side">
<div class="toolbar"><label for="map-layer">Show</label><select id="map-layer"></select><span id="map-meaning" class="muted"></span></div>
<div class="wide"><div class="map-frame"><table id="map-grid" role="grid" aria-labelledby="map-title"></table></div></div>
<div id="map-legend" class="legend"></div>
<details id="tensor-details"><summary>All tensors as a table</summary><div id="tensor-table"></div><p class="actions"><button type="button" data-export="tensors.csv">CSV</button></p></details>
</div>
<aside id="explain" aria-label="The tensor at hand"></aside>
</div>
</section>`;
}

function renderTools(file: string | undefined): Markup {
  return html`<div class="tools" id="what-if" role="group" aria-label="What if">
<div class="budget">
<label for="budget-range">Budget</label>
<input type="range" id="budget-range" min="0" max="1000" step="1">
<form id="budget-form"><label for="budget-text">Size, bits per weight (4.5bpw) or preset</label><input type="text" id="budget-text" autocomplete="off" spellcheck="false"><button type="submit">Plan</button></form>
</div>
<div class="presets" id="presets" role="group" aria-label="Sizes of stock presets"></div>
<dl class="outcome" id="outcome" aria-live="polite"></dl>
<p class="problem" id="problem" role="alert"></p>
<ul class="pins" id="pins" aria-label="Constraints"></ul>
<p class="actions">
<button type="button" id="reset">Reset</button>
<button type="button" data-export="plan.json">Download plan.json</button>
<button type="button" data-export="recipe.sh">Download recipe.sh</button>
${file === undefined ? undefined : html`<button type="button" id="save" class="primary">Save to <span class="name">${file}</span></button><span id="saved" role="status"></span>`}
</p>
<details id="changes"><summary>Changed tensors</summary><div id="change-table"></div></details>
</div>`;
}
