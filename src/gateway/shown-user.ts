import type { Log, LogFields, LogMethod, Pattern } from "#base";
import type { Auditor, Rule } from "#contract";

/** The capture of a rule's pattern that is a secret: the join token of a device. */
const secretCapture = "token";

/** User names as logs, the audit and `postern status` may have them: a join token in one is a secret while it can be used. */
export class ShownUsers {
  readonly #patterns: readonly Pattern[];

  constructor(rules: readonly Pick<Rule, "match">[]) {
    this.#patterns = rules.flatMap(({ match: { userPattern } }) =>
      userPattern?.names.includes(secretCapture) === true ? [userPattern] : [],
    );
  }

  of(user: string): string {
    for (const pattern of this.#patterns) {
      const secret = pattern.match(user)?.[secretCapture];
      if (secret !== undefined && secret !== "") return user.replace(secret, () => "…");
    }
    return user;
  }

  log(log: Log): Log {
    if (this.#patterns.length === 0) return log;
    const shown =
      (write: LogMethod): LogMethod =>
      (event, fields) =>
        write(event, this.#fields(fields));
    return {
      trace: shown(log.trace),
      debug: shown(log.debug),
      info: shown(log.info),
      warn: shown(log.warn),
      error: shown(log.error),
      fatal: shown(log.fatal),
      enabled: (level) => log.enabled(level),
      child: (fields) => this.log(log.child(this.#fields(fields) ?? {})),
    };
  }

  audit(audit: Auditor | undefined): Auditor | undefined {
    if (audit === undefined || this.#patterns.length === 0) return audit;
    return (event) => audit(event.user === undefined ? event : { ...event, user: this.of(event.user) });
  }

  #fields(fields: LogFields | undefined): LogFields | undefined {
    const user = fields?.["user"];
    return typeof user === "string" ? { ...fields, user: this.of(user) } : fields;
  }
}
