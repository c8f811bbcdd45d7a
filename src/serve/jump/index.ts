export { createJump } from "./jump.ts";
