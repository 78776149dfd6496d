/** Marks what is wider than its frame until it was scrolled to its end: page.css fades its edge and says so. */

/** Pixels that rounding may leave. */
const SLACK_PX = 2;

/** Follow every frame of the page, those that are filled later too. */
export function followScroll(): void {
  const resized = new ResizeObserver((entries) => {
    for (const { target } of entries) mark(target.closest(".wide"));
  });
  const follow = (wide: Element) => {
    const frame = wide.firstElementChild;
    if (frame === null) return;
    frame.addEventListener("scroll", () => mark(wide), { passive: true });
    resized.observe(frame);
    if (frame.firstElementChild !== null) resized.observe(frame.firstElementChild);
  };
  const followed = new WeakSet<Element>();
  const followAll = () => {
    for (const wide of document.querySelectorAll(".wide")) {
      if (followed.has(wide)) continue;
      followed.add(wide);
      follow(wide);
    }
  };
  new MutationObserver(followAll).observe(document.body, { childList: true, subtree: true });
  followAll();
}

function mark(wide: Element | null): void {
  const frame = wide?.firstElementChild;
  if (!wide || !frame) return;
  const left = frame.scrollWidth - frame.clientWidth - frame.scrollLeft;
  wide.classList.toggle("more-right", left > SLACK_PX);
}
