/**
 * base: what every room may stand on.
 *
 * Law: no product, no protocol, no import from any other room.
 */
export {
  type Blame,
  blameOf,
  blames,
  defineErrors,
  definedErrors,
  type ErrorClass,
  type ErrorCode,
  type ErrorDetail,
  type ErrorRow,
  type ErrorTable,
  PosternError,
} from "./errors.ts";
export { type Captures, parseTemplate, type Template, templateErrors } from "./template.ts";
