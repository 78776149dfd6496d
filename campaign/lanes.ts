/** Cases beside each other. */

/** Run `work` for first, first + 1, …, `lanes` at a time, until it says false. */
export async function inLanes(lanes: number, first: number, work: (index: number) => Promise<boolean>): Promise<void> {
  let next = first;
  const lane = async () => {
    while (await work(next++));
  };
  await Promise.all(Array.from({ length: lanes }, lane));
}
