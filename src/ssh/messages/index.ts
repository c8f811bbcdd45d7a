/**
 * messages: one file per RFC; number, shape and codec together.
 *
 * Law: knows what a message looks like, never when it is due or what it does. Decoders take the whole payload, its number
 * included, and throw the errors of `ssh/wire`; byte strings that a protocol step keeps are copied, bulk data are views.
 */
export * from "./connection.ts";
export * from "./kex.ts";
export * from "./numbers.ts";
export * from "./openssh.ts";
export * from "./requests.ts";
export * from "./transport.ts";
export * from "./userauth.ts";
