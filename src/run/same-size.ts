/** Files whose bytes differ by a smaller share are taken to be of one size. */
export const SAME_SIZE = 0.005;
