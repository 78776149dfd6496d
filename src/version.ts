/** The version of PRISM that documents carry; the same as in package.json. */
export const PRISM_VERSION = "0.1.0";
