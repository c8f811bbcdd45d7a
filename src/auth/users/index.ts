/**
 * users: the people whom the operator has listed: password hashes, keys, secrets of second factors, groups.
 *
 * Law: knows who is listed and what with; never what a proof looks like, nor whether one is right.
 */
export { changeUser, type NewUser, totpField, type UserChange } from "./edit.ts";
export { usersErrors } from "./errors.ts";
export {
  type UserFields,
  type UsersConfig,
  type UsersReference,
  usersReference,
  usersSchema,
} from "./schema.ts";
export { type Referred, referredUser, Users, type UsersPorts } from "./users.ts";
