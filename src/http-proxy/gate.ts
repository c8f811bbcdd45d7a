import type { Clock } from "#base";
import type { Device, DeviceStore, ShownLogin, WebAnswer, WebClient, WebProof } from "#contract";
import { type Asked, isForeign, isProgram, isVisit } from "./asked.ts";
import { Attempts } from "./attempts.ts";
import { basicLogin } from "./basic.ts";
import { bodyOf } from "./body.ts";
import { cookiesOf, type Fields, valueOf, withoutCookies } from "./fields.ts";
import { goTo, loginPage, logoutPage, ownPaths, type Page, plainPage, safePath } from "./pages.ts";
import type { WebConfig } from "./schema.ts";
import type { DeviceSignIn } from "./sign-in/device.ts";
import { overPage, strangerPage } from "./sign-in/pages.ts";
import { clearCookie, cookieName, readTicket, setCookie, signTicket } from "./ticket.ts";

/** What is read of a form; those of our own pages have a few short fields. */
export const maxFormBytes = 8192;

export type LetIn = "public" | "ticket" | "certificate" | "password";

export type Judged =
  | {
      readonly kind: "in";
      readonly device: Device;
      readonly by: LetIn;
      readonly rule?: string;
      readonly user?: string;
      /** Without what was said to us. */
      readonly fields: Fields;
    }
  | { readonly kind: "page"; readonly page: Page };

export interface GatePorts {
  readonly clock: Clock;
  readonly devices: Pick<DeviceStore, "byName">;
  /** Signs tickets; the same over restarts. */
  readonly key: () => Promise<Uint8Array>;
  /** Absent: nobody can sign in at a provider. */
  readonly signIn?: DeviceSignIn;
}

const page = (made: Page): Judged => ({ kind: "page", page: made });

/** Said of devices that are not there, whose page is off, and that are not for this client: nobody can tell which. */
const nothing: Page = plainPage(404, "Nothing here", "There is no such device, or it is not for you.");
const foreign: Page = plainPage(
  403,
  "Refused",
  "Another site's page asked for this with your login. Open the address itself.",
);
const busy: Page = {
  ...plainPage(
    429,
    "Too many logins",
    "Too many logins from your network are being checked. Try again soon.",
  ),
  fields: [["Retry-After", "5"]],
};
const wrongText = "That name and password are not right.";

/** Decides who sees which device's page: whatever the approval does not make public is behind a login. */
export class Gate {
  readonly #config: WebConfig;
  readonly #ports: GatePorts;
  readonly #attempts: Attempts;

  constructor(config: WebConfig, ports: GatePorts) {
    this.#config = config;
    this.#ports = ports;
    this.#attempts = new Attempts(ports.clock);
  }

  /** `upgrades`: the request is for a WebSocket. */
  async judge(asked: Asked, name: string, client: WebClient, upgrades: boolean): Promise<Judged> {
    const found = await this.#ports.devices.byName(name);
    const device = found?.state === "approved" && found.web !== "off" ? found : undefined;
    if (device?.web === "public") return { kind: "in", device, by: "public", fields: stripped(asked.fields) };
    const [path = ""] = asked.path.split("?", 1);
    if (path.startsWith(ownPaths.prefix)) return page(await this.#ownPage(path, asked, device, client));
    return await this.#withLogin(asked, device, client, upgrades);
  }

  async #withLogin(
    asked: Asked,
    device: Device | undefined,
    client: WebClient,
    upgrades: boolean,
  ): Promise<Judged> {
    const { desk } = client;
    const shown = { ...(device === undefined ? {} : { device }), ...certificateOf(client) };
    const proof = await this.#ticketIn(asked, device);
    const open = await desk.askWeb({ ...shown, ...(proof === undefined ? {} : { proof }) });
    if (open.kind === "allowed" && device !== undefined) {
      // A browser shows cookies and certificates whoever has asked it to.
      if (isForeign(asked, client.serverName !== undefined, upgrades)) return page(foreign);
      const { rule } = open;
      const user = open.proof === undefined ? {} : { user: open.proof.user };
      const by = open.proof === undefined ? "certificate" : "ticket";
      return { kind: "in", device, by, rule, ...user, fields: stripped(asked.fields) };
    }
    const login = basicLogin(valueOf(asked.fields, "authorization"));
    if (login === undefined) return page(this.#refusal(asked, client, open, false));
    const answer = await this.#tryLogin(login, device, client);
    if (answer === undefined) return page(busy);
    if (answer.kind === "refused" || device === undefined)
      return page(this.#refusal(asked, client, answer, answer.kind === "refused" && !answer.proven));
    const fields = stripped(asked.fields).filter(([each]) => each.toLowerCase() !== "authorization");
    return { kind: "in", device, by: "password", rule: answer.rule, user: login.user, fields };
  }

  /** Undefined: too many are at it. */
  async #tryLogin(
    login: ShownLogin,
    device: Device | undefined,
    client: WebClient,
  ): Promise<WebAnswer | undefined> {
    const { desk } = client;
    const shown = { ...(device === undefined ? {} : { device }), ...certificateOf(client) };
    const known = this.#attempts.known(login, desk.from);
    if (known !== undefined) {
      const answer = await desk.askWeb({ ...shown, proof: known });
      if (answer.kind === "allowed") return answer;
    }
    const answer = await this.#attempts.inTurn(desk.from, () => desk.askWeb({ ...shown, login }));
    if (answer?.kind === "allowed" && answer.proof !== undefined)
      this.#attempts.remember(login, desk.from, answer.proof);
    return answer;
  }

  /** Depends on the device in nothing that who has not logged in could see. */
  #refusal(asked: Asked, client: WebClient, answer: WebAnswer, isWrong: boolean): Page {
    if (answer.kind === "allowed" || answer.proven) return nothing;
    if (!answer.wants.includes("login"))
      return answer.wants.includes("certificate")
        ? plainPage(403, "A certificate is needed", "Give a client certificate that this gateway knows.")
        : nothing;
    if (isVisit(asked) && !isWrong) return goTo(`${ownPaths.login}?next=${encodeURIComponent(asked.path)}`);
    const { passwords } = client.desk.waysToLogIn(certificateOf(client));
    // Where a script of a page asks, a browser would show a dialog of its own.
    const challenge =
      passwords && isProgram(asked) ? 'Basic realm="Postern", charset="UTF-8"' : `Cookie realm="Postern"`;
    return {
      ...plainPage(
        401,
        "Log in",
        isWrong ? wrongText : `Log in at ${ownPaths.login}${passwords ? ", or by HTTP Basic" : ""}.`,
      ),
      fields: [["WWW-Authenticate", challenge]],
    };
  }

  async #ticketIn({ fields, host }: Asked, device: Device | undefined): Promise<WebProof | undefined> {
    const tickets = cookiesOf(fields, cookieName);
    const [ticket] = tickets;
    if (ticket === undefined || tickets.length > 1 || device === undefined) return undefined;
    const nowMs = this.#ports.clock.now();
    return readTicket(ticket, await this.#ports.key(), { host, device: device.id, nowMs });
  }

  async #ownPage(path: string, asked: Asked, device: Device | undefined, client: WebClient): Promise<Page> {
    const { method, host } = asked;
    const { desk } = client;
    const posts = method === "POST";
    if (!posts && method !== "GET" && method !== "HEAD")
      return {
        ...plainPage(405, "Refused", "GET and POST are known here."),
        fields: [["Allow", "GET, HEAD, POST"]],
      };
    if (posts && isForeign(asked, client.serverName !== undefined, false)) return foreign;
    if (path === ownPaths.logout)
      return posts ? goTo(ownPaths.login, [["Set-Cookie", clearCookie]]) : logoutPage(host);
    const query = new URLSearchParams(asked.path.slice(path.length));
    if (path === ownPaths.signIn && method === "GET") return this.#toProvider(asked, query, client);
    if (path === ownPaths.signedIn && method === "GET")
      return await this.#fromProvider(asked, query, device, client);
    if (path !== ownPaths.login) return nothing;
    const { passwords, providers } = desk.waysToLogIn(certificateOf(client));
    const titles = this.#ports.signIn === undefined ? [] : providers.map(({ title }) => title);
    const ways = { passwords, providers: titles };
    if (!posts) return loginPage(host, safePath(query.get("next")), ways);
    const text = await bodyOf(asked.body, maxFormBytes, this.#ports.clock);
    if (text === undefined) return plainPage(413, "Too long", "That is more than a name and a password.");
    const form = new URLSearchParams(text);
    const next = safePath(form.get("next"));
    const user = form.get("user") ?? "";
    const login = { user, password: Buffer.from(form.get("password") ?? "") };
    const answer = await this.#tryLogin(login, device, client);
    if (answer === undefined) return busy;
    if (answer.kind === "refused" || device === undefined || answer.proof === undefined) {
      if (answer.kind === "refused" && !answer.proven) return loginPage(host, next, ways, wrongText);
      // Without a ticket for it, who comes by a certificate is let in as before.
      return answer.kind === "allowed" && device !== undefined ? goTo(next) : nothing;
    }
    return await this.#welcome(host, device, answer.proof, next);
  }

  /** To the gateway's own host, and from there to the provider. */
  #toProvider(asked: Asked, query: URLSearchParams, client: WebClient): Page {
    const { signIn } = this.#ports;
    const { providers } = client.desk.waysToLogIn(certificateOf(client));
    const provider = providers[Number(query.get("provider")) - 1];
    if (signIn === undefined || provider === undefined) return nothing;
    return signIn.begin(asked, client.desk.from, provider, safePath(query.get("next")));
  }

  /** Back, with a ticket that says who it is; who may see the page is decided here and now. */
  async #fromProvider(
    asked: Asked,
    query: URLSearchParams,
    device: Device | undefined,
    client: WebClient,
  ): Promise<Page> {
    const found = await this.#ports.signIn?.finish(asked, query.get("ticket") ?? "");
    if (found === undefined) return overPage;
    const { identity, next } = found;
    const shown = { ...(device === undefined ? {} : { device }), ...certificateOf(client) };
    const answer = await client.desk.askWeb({ ...shown, identity });
    if (answer.kind === "refused") return answer.proven ? nothing : strangerPage(identity.who);
    if (device === undefined) return nothing;
    // Who comes by a certificate is let in without a ticket.
    return answer.proof === undefined
      ? goTo(next)
      : await this.#welcome(asked.host, device, answer.proof, next);
  }

  async #welcome(host: string, device: Device, proof: WebProof, next: string): Promise<Page> {
    const { sessionSeconds } = this.#config;
    const untilMs = this.#ports.clock.now() + sessionSeconds * 1000;
    const key = await this.#ports.key();
    const ticket = signTicket({ host, device: device.id, proof, untilMs }, key);
    return goTo(next, [["Set-Cookie", setCookie(ticket, sessionSeconds)]]);
  }
}

function certificateOf({ certificate }: WebClient): Pick<WebClient, "certificate"> {
  return certificate === undefined ? {} : { certificate };
}

/** Our ticket is for us. */
function stripped(fields: Fields): Fields {
  return fields.flatMap(([name, value]) => {
    if (name.toLowerCase() !== "cookie") return [[name, value] as const];
    const rest = withoutCookies(value, cookieName);
    return rest === undefined ? [] : [[name, rest] as const];
  });
}
