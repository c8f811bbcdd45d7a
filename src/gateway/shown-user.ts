import type { Log, LogFields, LogLevel, Pattern } from "#base";
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
    return new ShownLog(log, this);
  }

  audit(audit: Auditor | undefined): Auditor | undefined {
    if (audit === undefined || this.#patterns.length === 0) return audit;
    return (event, atMs) =>
      audit(event.user === undefined ? event : { ...event, user: this.of(event.user) }, atMs);
  }

  /** Facts of a line of the log, as it may have them. */
  fields(fields: LogFields | undefined): LogFields | undefined {
    const user = fields?.["user"];
    return typeof user === "string" ? { ...fields, user: this.of(user) } : fields;
  }
}

class ShownLog implements Log {
  readonly #log: Log;
  readonly #users: ShownUsers;

  constructor(log: Log, users: ShownUsers) {
    this.#log = log;
    this.#users = users;
  }

  trace(event: string, fields?: LogFields): void {
    this.#log.trace(event, this.#users.fields(fields));
  }

  debug(event: string, fields?: LogFields): void {
    this.#log.debug(event, this.#users.fields(fields));
  }

  info(event: string, fields?: LogFields): void {
    this.#log.info(event, this.#users.fields(fields));
  }

  warn(event: string, fields?: LogFields): void {
    this.#log.warn(event, this.#users.fields(fields));
  }

  error(event: string, fields?: LogFields): void {
    this.#log.error(event, this.#users.fields(fields));
  }

  fatal(event: string, fields?: LogFields): void {
    this.#log.fatal(event, this.#users.fields(fields));
  }

  enabled(level: LogLevel): boolean {
    return this.#log.enabled(level);
  }

  child(fields: LogFields): Log {
    return this.#users.log(this.#log.child(this.#users.fields(fields) ?? {}));
  }
}
