/** Units in jobs: consecutive ones, so that a node reads its part of the file from one end to the other. */

/** The job of each unit, at most `jobs` of them, so that the most costly is as cheap as it can be. */
export function balance(costs: readonly number[], jobs: number): number[] {
  let low = Math.max(0, ...costs);
  let high = costs.reduce((sum, cost) => sum + cost, 0);
  // the smallest cap on a job under which the jobs are enough: to a ten-thousandth
  while (high - low > low * 1e-4) {
    const middle = (low + high) / 2;
    if (fill(costs, middle).count <= jobs) high = middle;
    else low = middle;
  }
  return fill(costs, high).places;
}

function fill(costs: readonly number[], cap: number): { places: number[]; count: number } {
  let job = 0;
  let load = 0;
  const places = costs.map((cost) => {
    if (load > 0 && load + cost > cap) {
      job++;
      load = 0;
    }
    load += cost;
    return job;
  });
  return { places, count: job + 1 };
}
