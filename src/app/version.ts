/** As in package.json (a test compares them): the one executable file has no package.json beside it. */
export const version = "0.1.0";
