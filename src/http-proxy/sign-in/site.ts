import { type Clock, type Log, PosternError } from "#base";
import type { Identity, PeerAddress, WebClient } from "#contract";
import { type Asked, isForeign, type Reply } from "../asked.ts";
import { bodyOf } from "../body.ts";
import { maxFormBytes } from "../gate.ts";
import { goTo, ownPaths, type Page, plainPage, say } from "../pages.ts";
import type { Site } from "../site.ts";
import type { Visitor } from "../visitor.ts";
import { bindingFor, isBound } from "./binding.ts";
import { readCode } from "./code.ts";
import { networkIn } from "./kept.ts";
import {
  busyPage,
  codePage,
  confirmPage,
  donePage,
  elsewherePage,
  failedPage,
  farPage,
  goneLoginPage,
  notForYouPage,
  onwardPage,
  overPage,
  refusedPage,
  signInPaths,
  tooManyPage,
} from "./pages.ts";
import type { SignInConfig } from "./schema.ts";
import { maxVisitsPerCode, type SignIns, type Visiting, type WaitingCode } from "./sign-ins.ts";

/** Browsers that are back from a provider, which is being asked who they are. */
export const maxFinishing = 100;

export interface SignInSitePorts {
  readonly clock: Clock;
  readonly log: Log;
  readonly signIns: SignIns;
}

const unknownCode = "Nobody waits with that code. Look at your terminal: it may show a new one.";
const foreignPage = plainPage(403, "Refused", "Another site's page asked for this. Open the address itself.");
const nothing = plainPage(404, "Nothing here", "There is no such page.");

/**
 * Where browsers come back from a provider of that title, which must know this address. Its own for each: what one of them sends is never
 * taken for another's (RFC 9700, section 4.4).
 */
export function callbackAt(address: string, title: string): string {
  return new URL(`${signInPaths.callback}${title}`, address).href;
}

/** The gateway's own pages: codes are entered here, and browsers come back here from all providers. */
export class SignInSite implements Site {
  readonly plain: Site["plain"];
  readonly authority: string;
  readonly #address: string;
  readonly #host: string;
  readonly #ports: SignInSitePorts;
  #finishing = 0;

  constructor({ address, plain }: SignInConfig, ports: SignInSitePorts) {
    this.plain = plain;
    this.#address = address;
    const { host, hostname } = new URL(address);
    this.authority = host;
    this.#host = hostname;
    this.#ports = ports;
  }

  takes(host: string): boolean {
    return host === this.#host;
  }

  async answer(asked: Asked, reply: Reply, { client }: Visitor): Promise<void> {
    await say(reply, await this.#page(asked, client));
  }

  async failure(_asked: Asked, { user }: PosternError): Promise<Page> {
    return failedPage(user);
  }

  async #page(asked: Asked, client: WebClient): Promise<Page> {
    const { method } = asked;
    const [path = ""] = asked.path.split("?", 1);
    const text = asked.path.slice(path.length + 1);
    const query = new URLSearchParams(text);
    if (method === "POST") {
      if (isForeign(asked, client.serverName !== undefined, false)) return foreignPage;
      if (path !== signInPaths.code && path !== signInPaths.confirm) return nothing;
      const said = await bodyOf(asked.body, maxFormBytes, this.#ports.clock);
      if (said === undefined) return plainPage(413, "Too long", "That is more than is asked for.");
      const form = new URLSearchParams(said);
      return path === signInPaths.code
        ? await this.#entered(asked, client, form.get("code") ?? "")
        : this.#decided(asked, client, form);
    }
    if (method !== "GET")
      return {
        ...plainPage(405, "Refused", "GET and POST are known here."),
        fields: [["Allow", "GET, POST"]],
      };
    if (path === signInPaths.code) return codePage(readCode(query.get("code") ?? "") ?? "");
    if (path === signInPaths.start) return await this.#start(asked, client, query.get("login") ?? "");
    if (path === signInPaths.confirm) return this.#confirm(asked, client, query.get("login") ?? "");
    if (path.startsWith(signInPaths.callback)) return await this.#back(asked, client, path, text);
    return nothing;
  }

  async #entered(asked: Asked, { desk }: WebClient, typed: string): Promise<Page> {
    const { signIns, log } = this.#ports;
    const { from } = desk;
    if (signIns.wrongCodes.tooMany(from)) return tooManyPage;
    const code = readCode(typed);
    if (code === undefined) return codePage("", "That is no code: it has eight letters, as BCDF-GHJK.");
    const waiting = signIns.waiting(code);
    if (waiting === undefined) {
      signIns.wrongCodes.count(from);
      log.info("sign-in-refused", { from: from.text, reason: "nobody waits with that code" });
      return codePage("", unknownCode);
    }
    if (waiting.visits >= maxVisitsPerCode) return codePage("", unknownCode);
    if (!isNear(waiting, from)) return this.#refuse(farPage, from, "it is not in the login's network");
    waiting.visits++;
    try {
      return await this.#send(asked, from, waiting, waiting.login.provider, onwardPage);
    } catch (error) {
      return this.#failed(error, waiting);
    }
  }

  /** From a device's host: by a name that only this browser has been told. */
  async #start(asked: Asked, { desk }: WebClient, name: string): Promise<Page> {
    const login = this.#ports.signIns.asked.take(name);
    if (login === undefined) return overPage;
    return await this.#send(asked, desk.from, login, login.provider, (_, address) => goTo(address));
  }

  async #send(
    asked: Asked,
    from: PeerAddress,
    purpose: Visiting["purpose"],
    provider: Visiting["provider"],
    pageTo: (title: string, address: string) => Page,
  ): Promise<Page> {
    const { binding, fields } = bindingFor(asked.fields);
    const visit = await provider.begin(this.#callback(provider), provider.wants);
    this.#ports.signIns.visiting.put({ visit, provider, binding, purpose }, from, visit.state);
    const page = pageTo(provider.title, visit.address);
    return { ...page, fields: [...(page.fields ?? []), ...fields] };
  }

  #callback({ title }: Visiting["provider"]): string {
    return callbackAt(this.#address, title);
  }

  async #back(asked: Asked, { desk }: WebClient, path: string, query: string): Promise<Page> {
    const { signIns } = this.#ports;
    const { from } = desk;
    const [state = "", ...more] = new URLSearchParams(query).getAll("state");
    const visiting = more.length > 0 ? undefined : signIns.visiting.find(state);
    if (visiting === undefined) return this.#refuse(overPage, from, "its state is not known");
    // Whoever has only heard of it cannot end it either.
    if (!isBound(asked.fields, visiting.binding))
      return this.#refuse(elsewherePage, from, "it was begun in another browser");
    signIns.visiting.take(state);
    const { provider, purpose } = visiting;
    if (path !== new URL(this.#callback(provider)).pathname)
      return this.#refuse(overPage, from, "it came back as from another provider");
    const isSsh = "code" in purpose;
    if (isSsh && !signIns.isOpen(purpose)) return goneLoginPage;
    if (this.#finishing >= maxFinishing) return busyPage;
    this.#finishing++;
    let identity: Identity;
    try {
      identity = await visiting.visit.finish(query);
    } catch (error) {
      return this.#failed(error, isSsh ? purpose : undefined);
    } finally {
      this.#finishing--;
    }
    if (isSsh) return this.#proven(visiting, purpose, identity, from);
    const ticket = signIns.handedOver.put({ ...purpose, identity }, from);
    return goTo(`https://${purpose.place}${ownPaths.signedIn}?ticket=${ticket}`);
  }

  #proven({ binding }: Visiting, waiting: WaitingCode, identity: Identity, from: PeerAddress): Page {
    const { signIns } = this.#ports;
    if (!signIns.isOpen(waiting)) return goneLoginPage;
    if (!waiting.login.mayBe(identity)) {
      signIns.close(waiting);
      waiting.login.settle(identity);
      return notForYouPage(identity.who);
    }
    const name = signIns.confirming.put({ waiting, identity, binding }, from);
    return goTo(`${signInPaths.confirm}?login=${name}`);
  }

  #confirm(asked: Asked, { desk }: WebClient, name: string): Page {
    const { signIns } = this.#ports;
    const found = signIns.confirming.find(name);
    if (found === undefined) return overPage;
    if (!isBound(asked.fields, found.binding)) return elsewherePage;
    const { waiting, identity } = found;
    if (!signIns.isOpen(waiting)) return goneLoginPage;
    const { user, from } = waiting.login;
    const isElsewhere = networkIn(from) !== networkIn(desk.from);
    return confirmPage(name, {
      code: waiting.code,
      user: shown(user),
      from: placeOf(from),
      who: identity.who,
      browser: isElsewhere ? placeOf(desk.from) : undefined,
    });
  }

  #decided(asked: Asked, { desk }: WebClient, form: URLSearchParams): Page {
    const { signIns } = this.#ports;
    const name = form.get("login") ?? "";
    const found = signIns.confirming.find(name);
    if (found === undefined) return overPage;
    if (!isBound(asked.fields, found.binding)) return elsewherePage;
    const { waiting, identity } = found;
    if (!isNear(waiting, desk.from))
      return this.#refuse(farPage, desk.from, "it is not in the login's network");
    signIns.confirming.take(name);
    if (!signIns.isOpen(waiting)) return goneLoginPage;
    signIns.close(waiting);
    if (form.get("answer") === "yes") {
      waiting.login.settle(identity);
      return donePage;
    }
    waiting.login.refuse();
    return refusedPage;
  }

  #refuse(page: Page, from: PeerAddress, reason: string): Page {
    this.#ports.log.info("sign-in-refused", { from: from.text, reason });
    return page;
  }

  /** Who waits at a terminal is told as well. */
  #failed(error: unknown, waiting: WaitingCode | undefined): Page {
    if (!(error instanceof PosternError)) throw error;
    if (waiting !== undefined && this.#ports.signIns.isOpen(waiting)) {
      this.#ports.signIns.close(waiting);
      waiting.login.fail(error);
    } else this.#ports.log.info("sign-in-failed", { code: error.code, reason: error.message });
    return failedPage(error.user);
  }
}

/** Whether a browser is where it must be. */
function isNear({ login }: WaitingCode, from: PeerAddress): boolean {
  return !login.sameNetwork || networkIn(login.from) === networkIn(from);
}

function placeOf({ ip, text }: PeerAddress): string {
  return ip ?? text;
}

/** A name is the client's own words. */
function shown(text: string): string {
  return text.replaceAll(/[\p{C}\p{Z}]/gu, "?").slice(0, 200);
}
