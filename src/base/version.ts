/** Of this program; the same as in package.json, which a single executable does not have beside it. */
export const version: string = "0.1.0";
