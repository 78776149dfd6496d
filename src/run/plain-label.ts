/** The row of a preset without the importance matrix that all other rows of a run have. */
export function plainLabel(preset: string): string {
  return `${preset} without imatrix`;
}
