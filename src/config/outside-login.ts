import { webhookMethods } from "#auth";
import type { RuleConfig } from "./rule.ts";

/** What is wrong with the logins of a rule that others decide about. */
export function* outsideLoginProblems({ login, require }: Pick<RuleConfig, "login" | "require">): Generator<{
  readonly path: readonly (string | number)[];
  readonly message: string;
}> {
  for (const [at, each] of login.entries()) {
    if (each.kind !== "webhook") continue;
    const begins = require === undefined || require[0]?.includes(each.kind) === true;
    if (!begins) continue;
    const { whenDown, sendPassword } = each;
    if (webhookMethods(each).includes("keyboard-interactive") && sendPassword !== true) {
      const message =
        "keyboard-interactive without sendPassword shows nothing: list what is to be proven before it, and say require: [publickey, webhook]";
      yield { path: ["login", at, "methods"], message };
    }
    if (whenDown === "dangerously-allow") {
      const message =
        "would let anybody in when the webhook is down: list what is to be proven before it, and say require: [publickey, webhook]";
      yield { path: ["login", at, "whenDown"], message };
    }
  }
}
