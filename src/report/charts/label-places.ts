/** Where labels of points go so that none lies on another or on a point: beside its own, else as near as there is room. */

export interface LabelPoint {
  readonly text: string;
  /** Pixels. */
  readonly x: number;
  readonly y: number;
}

export interface LabelPlace {
  /** The end of the text that is nearer to the point. */
  readonly x: number;
  /** Middle of the text. */
  readonly y: number;
  readonly align: "left" | "right";
}

/** Pixels; `bottom` is the larger. */
export interface LabelArea {
  readonly left: number;
  readonly right: number;
  readonly top: number;
  readonly bottom: number;
}

/** Pixels between a point and its label, and between two lines of labels. */
const GAP_PX = 12;
const LINE_PX = 16;
/** Mean width of a character of 12 px. */
const CHARACTER_PX = 6.8;
/** Half of the space a point keeps free. */
const POINT_PX = 7;
/** Lines a label may move up or down. */
const MOST_LINES = 24;

/** Place labels within an area; where points crowd, those that come first keep nearest to theirs. */
export function placeLabels(points: readonly LabelPoint[], area: LabelArea): LabelPlace[] {
  const taken = points.map(({ x, y }): LabelArea => {
    return { left: x - POINT_PX, right: x + POINT_PX, top: y - POINT_PX, bottom: y + POINT_PX };
  });
  return points.map((point) => {
    const places = candidates(point);
    const free = places.find((place) => {
      const box = boxOf(point, place);
      return within(box, area) && !taken.some((other) => overlap(box, other));
    });
    const place = free ?? (places[0] as LabelPlace);
    taken.push(boxOf(point, place));
    return place;
  });
}

/** The nearest first; right of the point before left of it. */
function candidates({ x, y }: LabelPoint): LabelPlace[] {
  const places: LabelPlace[] = [];
  for (let half = 0; half <= 2 * MOST_LINES; half++) {
    const shift = (half * LINE_PX) / 2;
    for (const height of half === 0 ? [y] : [y - shift, y + shift]) {
      places.push({ x: x + GAP_PX, y: height, align: "left" }, { x: x - GAP_PX, y: height, align: "right" });
    }
  }
  return places;
}

/** The space that a label takes. */
export function boxOf({ text }: LabelPoint, { x, y, align }: LabelPlace): LabelArea {
  const width = text.length * CHARACTER_PX;
  const left = align === "left" ? x : x - width;
  return { left, right: left + width, top: y - LINE_PX / 2, bottom: y + LINE_PX / 2 };
}

function within(box: LabelArea, area: LabelArea): boolean {
  return box.left >= area.left && box.right <= area.right && box.top >= area.top && box.bottom <= area.bottom;
}

function overlap(a: LabelArea, b: LabelArea): boolean {
  return a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
}
