/**
 * admin: what operators do, by HTTP: the authority over devices, for their own programs.
 *
 * Law: every act goes through the office, the same door as the command line's, and is told in the audit with who did it. Nobody is known
 * but by a token whose hash stands in the configuration. It opens no socket of its own, and decides nothing about devices.
 */
export { ApiDesk, type ApiPorts } from "./desk.ts";
export { openApiText } from "./openapi.ts";
export { type ApiConfig, apiSchema, type ApiScope, apiScopes, type ApiTokenConfig } from "./schema.ts";
export { apiTokenHash, newApiToken } from "./tokens.ts";
export { type ApiTurns, CountedTurns } from "./turns.ts";
