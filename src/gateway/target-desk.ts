import type { Clock, Log } from "#base";
import type {
  Arrival,
  Auditor,
  Identity,
  PeerAddress,
  Reached,
  ReceptionDesk,
  ShownLogin,
  SignInWays,
  SpliceRoute,
  SpliceRule,
  TargetQuery,
  TargetQuestion,
  TargetRefusal,
  WebAnswer,
  WebProof,
  WebQuestion,
} from "#contract";
import type { Duplex } from "node:stream";
import type { FailureDelays } from "./failure-delays.ts";
import { maxUserNameChars } from "./router.ts";
import { signedInFor, waysIn } from "./signed-in.ts";
import { takesUser, wantedBy } from "./splice-match.ts";
import type { TargetRouter } from "./target-router.ts";

export interface TargetDeskOptions {
  readonly router: TargetRouter;
  readonly arrival: Pick<Arrival, "from" | "to">;
  readonly delays: FailureDelays;
  readonly clock: Clock;
  readonly log: Log;
  readonly signal: AbortSignal;
  open(route: SpliceRoute, client: Duplex): Promise<Reached>;
  /** Told what the client asks for. */
  readonly asked?: (question: TargetQuestion) => void;
  readonly audit?: Auditor | undefined;
}

/** Where one client's questions for targets are answered. */
export class TargetDesk implements ReceptionDesk {
  readonly signal: AbortSignal;
  readonly from: PeerAddress;
  readonly audit: Auditor | undefined;
  readonly #options: TargetDeskOptions;

  constructor(options: TargetDeskOptions) {
    this.#options = options;
    this.signal = options.signal;
    this.from = options.arrival.from;
    this.audit = options.audit;
  }

  async open(route: SpliceRoute, client: Duplex): Promise<Reached> {
    return await this.#options.open(route, client);
  }

  async ask(question: TargetQuestion): Promise<SpliceRoute | TargetRefusal> {
    this.#options.asked?.(question);
    const { login, ...asked } = question;
    const { router, arrival, clock } = this.#options;
    const plain = { ...asked, from: arrival.from, to: arrival.to, nowMs: clock.now() };
    // What needs no password is not kept waiting for one.
    const open = router.route(plain);
    if (open !== undefined) return open;
    const wants = router.wants(plain);
    if (login === undefined || !wants.includes("login")) return { mode: "refused", wants };
    const rules = await this.#prove(login, plain);
    // A password that is right for nothing is asked for again.
    if (rules.size === 0) return { mode: "refused", wants };
    const query = { ...plain, proven: { user: login.user, rules } };
    return router.route(query) ?? { mode: "refused", wants: router.wants(query) };
  }

  waysToLogIn(shown: Pick<WebQuestion, "certificate">): SignInWays {
    return waysIn(this.#asking(this.#webQuery(shown)));
  }

  async askWeb(question: WebQuestion): Promise<WebAnswer> {
    const { device, login, identity, proof } = question;
    const { router } = this.#options;
    const plain = this.#webQuery(question);
    const ruleFor = (query: TargetQuery): SpliceRule | undefined =>
      device === undefined ? undefined : router.webRule(device, query);
    const open = ruleFor(plain);
    if (open !== undefined) return { kind: "allowed", rule: open.name };
    const wants = router.wants(plain);
    if (identity !== undefined) {
      const found = signedInFor(identity, this.#asking(plain));
      this.#tellSignedIn(identity, found[0]?.user);
      for (const { user, rule } of found) {
        const opened = ruleFor({ ...plain, proven: { user, rules: new Set([rule]) } });
        if (opened !== undefined) return { kind: "allowed", rule, proof: { user, rules: [rule] } };
      }
      return { kind: "refused", wants, proven: found.length > 0 };
    }
    const proven = proof ?? (await this.#provenBy(login, wants, plain));
    if (proven === undefined) return { kind: "refused", wants, proven: false };
    const { user } = proven;
    // A rule may have changed since its name was written down.
    const rules = new Set(
      router.rules.flatMap(({ name, match }) =>
        proven.rules.includes(name) && takesUser(match, user) ? [name] : [],
      ),
    );
    const rule = ruleFor({ ...plain, proven: { user, rules } });
    return rule === undefined
      ? { kind: "refused", wants, proven: rules.size > 0 }
      : { kind: "allowed", rule: rule.name, proof: { user, rules: [rule.name] } };
  }

  #webQuery({ device, certificate }: Pick<WebQuestion, "device" | "certificate">): TargetQuery {
    const { arrival, clock } = this.#options;
    const { from, to } = arrival;
    const shown = certificate === undefined ? {} : { certificate };
    return { entry: "web", name: device?.name ?? "", from, to, nowMs: clock.now(), ...shown };
  }

  /** Rules that would hold, but for a login. */
  #asking(query: TargetQuery): SpliceRule[] {
    return this.#options.router.rules.filter((rule) => wantedBy(rule, query) === "login");
  }

  #tellSignedIn({ who, by, subject }: Identity, user: string | undefined): void {
    const { log, arrival } = this.#options;
    const tried = { event: "auth", method: "browser", by, subject } as const;
    if (user === undefined) {
      log.info("auth-denied", { who, method: "browser", from: arrival.from.text });
      this.audit?.({ ...tried, outcome: "refused", reason: `no rule takes ${who}` });
    } else {
      log.info("auth-accepted", { user, method: "browser", by });
      this.audit?.({ ...tried, user, outcome: "accepted" });
    }
  }

  async #provenBy(
    login: ShownLogin | undefined,
    wants: TargetRefusal["wants"],
    query: TargetQuery,
  ): Promise<WebProof | undefined> {
    if (login === undefined || !wants.includes("login")) return undefined;
    const rules = await this.#prove(login, query);
    const { user } = login;
    return rules.size > 0 ? { user, rules: [...rules] } : undefined;
  }

  /** The rules for which name and password are right. What it takes is the same for a name that no rule knows. */
  async #prove({ user, password }: ShownLogin, query: TargetQuery): Promise<ReadonlySet<string>> {
    const { arrival, delays, clock, log } = this.#options;
    const started = clock.monotonic();
    const asking = this.#asking(query);
    const own = asking.filter(({ match }) => takesUser(match, user));
    const shadow = own.length > 0 ? undefined : delays.shadow(user, asking);
    const proven = new Set<string>();
    for (const rule of own)
      if (await this.#judge(rule, { user, password }, query.nowMs, false)) proven.add(rule.name);
    if (shadow !== undefined) await this.#judge(shadow, { user, password }, query.nowMs, true);
    const tried = { event: "auth", user: user.slice(0, maxUserNameChars), method: "http" } as const;
    if (proven.size > 0) {
      log.info("auth-accepted", { user, method: "http-basic", rules: [...proven] });
      this.audit?.({ ...tried, outcome: "accepted", by: "password" });
      return proven;
    }
    log.info("auth-denied", { user: tried.user, method: "http-basic", from: arrival.from.text });
    this.audit?.({ ...tried, outcome: "refused", reason: "the name or the password is wrong" });
    await delays.wait(user, "first-password", started, 0, this.signal);
    return proven;
  }

  /** Any of the rule's ways suffices; all are tried, so that the time does not tell which did. */
  async #judge(
    { login = [], match }: SpliceRule,
    { user, password }: ShownLogin,
    nowMs: number,
    pretended: boolean,
  ): Promise<boolean> {
    const captures = { ...match.userPattern?.match(user), user, 0: user };
    const { from } = this.#options.arrival;
    const context = { user, captures, from, nowMs, signal: this.signal, pretended };
    let accepted = false;
    for (const method of login) {
      const verdict = await method.attempt({ method: "password", password }, context);
      if (verdict.kind === "accepted") accepted = true;
    }
    return accepted;
  }
}
