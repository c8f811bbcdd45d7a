/**
 * webhook: the operator's own program decides, asked over HTTPS.
 *
 * Law: sends what is known of a login and reads the answer; what of the answer holds, the rule decides.
 */
export { webhookErrors } from "./errors.ts";
export { webhookJsonSchema } from "./json-schema.ts";
export { parseAnswer, type WebhookAnswer } from "./answer.ts";
export { methodsOf as webhookMethods, type WebhookConfig } from "./schema.ts";
export { webhook } from "./webhook.ts";
