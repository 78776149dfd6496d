/** How many requests run at a time: further ones wait their turn, first come, first served. */

export interface Lanes {
  run<Result>(work: () => Promise<Result>): Promise<Result>;
}

/** Open `count` lanes. */
export function createLanes(count: number): Lanes {
  const waiting: (() => void)[] = [];
  let free = count;
  return {
    async run(work) {
      if (free > 0) free--;
      else await new Promise<void>((resolve) => waiting.push(resolve));
      try {
        return await work();
      } finally {
        const next = waiting.shift();
        if (next) next();
        else free++;
      }
    },
  };
}
