import { type Log, PosternError } from "#base";
import type { Identity, PeerAddress } from "#contract";
import type { Fields } from "../fields.ts";
import { goTo, ownPaths, type Page } from "../pages.ts";
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
import { maxVisitsPerCode, type SignIns, type Visiting, type WaitingCode } from "./sign-ins.ts";

/** Browsers that are back from a provider, which is being asked who they are. */
export const maxFinishing = 100;

/** What a browser does next. */
export type Step =
  | { readonly kind: "code"; readonly typed: string }
  /** From a device's host: by a name that only this browser has been told. */
  | { readonly kind: "start"; readonly login: string }
  /** From a provider, with its query. */
  | { readonly kind: "back"; readonly path: string; readonly query: string }
  /** Asked whether it is them. */
  | { readonly kind: "confirm"; readonly login: string }
  | { readonly kind: "decide"; readonly login: string; readonly agreed: boolean };

/** What is seen of the browser. */
export interface Seen {
  readonly fields: Fields;
  readonly from: PeerAddress;
}

export interface StepPorts {
  readonly log: Log;
  readonly signIns: SignIns;
}

const unknownCode = "Nobody waits with that code. Look at your terminal: it may show a new one.";

/**
 * Where browsers come back from a provider of that title, which must know this address. Its own for each: what one of them sends is never
 * taken for another's (RFC 9700, section 4.4).
 */
export function callbackAt(address: string, title: string): string {
  return new URL(`${signInPaths.callback}${title}`, address).href;
}

/** The way of a browser through a sign-in, each step on a request of its own. */
export class SignInSteps {
  readonly #ports: StepPorts;

  constructor(ports: StepPorts) {
    this.#ports = ports;
  }

  /** One step, wherever the sign-in is kept. */
  async take(step: Step, seen: Seen): Promise<Page> {
    const { signIns } = this.#ports;
    if (step.kind === "code") return await this.#entered(step.typed, seen);
    const holder = signIns.holderOf(nameIn(step));
    if (holder === undefined) return await this.#here(step, seen);
    return (await signIns.others?.take(step, seen, holder)) ?? overPage;
  }

  /** The same for a browser that has come to another process. Undefined: nobody waits here with that code. */
  async takeHere(step: Step, seen: Seen): Promise<Page | undefined> {
    if (step.kind !== "code") return await this.#here(step, seen);
    const waiting = this.#ports.signIns.waiting(step.typed);
    return waiting === undefined ? undefined : await this.#begun(waiting, seen);
  }

  async #here(step: Exclude<Step, { kind: "code" }>, seen: Seen): Promise<Page> {
    switch (step.kind) {
      case "start":
        return await this.#start(seen, step.login);
      case "back":
        return await this.#back(seen, step.path, step.query);
      case "confirm":
        return this.#confirm(seen, step.login);
      case "decide":
        return this.#decided(seen, step.login, step.agreed);
    }
  }

  async #entered(typed: string, seen: Seen): Promise<Page> {
    const { signIns } = this.#ports;
    const { from } = seen;
    if (signIns.wrongCodes.tooMany(from)) return tooManyPage;
    const code = readCode(typed);
    if (code === undefined) return codePage("", "That is no code: it has eight letters, as BCDF-GHJK.");
    const waiting = signIns.waiting(code);
    if (waiting !== undefined) return await this.#begun(waiting, seen);
    // Before others are asked: those that come meanwhile must not be more for that.
    const takeBack = signIns.wrongCodes.count(from);
    const elsewhere = await signIns.others?.take({ kind: "code", typed: code }, seen);
    if (elsewhere !== undefined) {
      takeBack();
      return elsewhere;
    }
    signIns.others?.wrongCode(from);
    return this.#refuse(codePage("", unknownCode), from, "nobody waits with that code");
  }

  async #begun(waiting: WaitingCode, seen: Seen): Promise<Page> {
    const { from } = seen;
    if (waiting.visits >= maxVisitsPerCode) return codePage("", unknownCode);
    if (!isNear(waiting, from)) return this.#refuse(farPage, from, "it is not in the login's network");
    waiting.visits++;
    try {
      return await this.#send(seen, waiting, waiting.login.provider, onwardPage);
    } catch (error) {
      return this.#failed(error, waiting);
    }
  }

  async #start(seen: Seen, name: string): Promise<Page> {
    const login = this.#ports.signIns.asked.take(name);
    if (login === undefined) return overPage;
    return await this.#send(seen, login, login.provider, (_, address) => goTo(address));
  }

  async #send(
    { fields: sent, from }: Seen,
    purpose: Visiting["purpose"],
    provider: Visiting["provider"],
    pageTo: (title: string, address: string) => Page,
  ): Promise<Page> {
    const { signIns } = this.#ports;
    const { binding, fields } = bindingFor(sent);
    const callback = callbackAt(purpose.address, provider.title);
    const visit = await provider.begin(callback, provider.wants, signIns.mark);
    signIns.visiting.put({ visit, provider, binding, purpose }, from, visit.state);
    const page = pageTo(provider.title, visit.address);
    return { ...page, fields: [...(page.fields ?? []), ...fields] };
  }

  async #back({ fields, from }: Seen, path: string, query: string): Promise<Page> {
    const { signIns } = this.#ports;
    const state = stateIn(query);
    const visiting = state === undefined ? undefined : signIns.visiting.find(state);
    if (state === undefined || visiting === undefined)
      return this.#refuse(overPage, from, "its state is not known");
    // Whoever has only heard of it cannot end it either.
    if (!isBound(fields, visiting.binding))
      return this.#refuse(elsewherePage, from, "it was begun in another browser");
    signIns.visiting.take(state);
    const { provider, purpose } = visiting;
    if (path !== new URL(callbackAt(purpose.address, provider.title)).pathname)
      return this.#refuse(overPage, from, "it came back as from another provider");
    const isSsh = "code" in purpose;
    if (isSsh && !signIns.isOpen(purpose)) return goneLoginPage;
    if (signIns.finishing >= maxFinishing) return busyPage;
    signIns.finishing++;
    let identity: Identity;
    try {
      identity = await visiting.visit.finish(query);
    } catch (error) {
      return this.#failed(error, isSsh ? purpose : undefined);
    } finally {
      signIns.finishing--;
    }
    if (isSsh) return this.#proven(visiting, purpose, identity, from);
    const { place, binding, next } = purpose;
    const ticket = signIns.handedOver.put({ place, binding, next, identity }, from);
    return goTo(`https://${place}${ownPaths.signedIn}?ticket=${ticket}`);
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

  #confirm({ fields, from: browser }: Seen, name: string): Page {
    const { signIns } = this.#ports;
    const found = signIns.confirming.find(name);
    if (found === undefined) return overPage;
    if (!isBound(fields, found.binding)) return elsewherePage;
    const { waiting, identity } = found;
    if (!signIns.isOpen(waiting)) return goneLoginPage;
    const { user, from } = waiting.login;
    const isElsewhere = networkIn(from) !== networkIn(browser);
    return confirmPage(name, {
      code: waiting.code,
      user: shown(user),
      from: placeOf(from),
      who: identity.who,
      browser: isElsewhere ? placeOf(browser) : undefined,
    });
  }

  #decided({ fields, from }: Seen, name: string, agreed: boolean): Page {
    const { signIns } = this.#ports;
    const found = signIns.confirming.find(name);
    if (found === undefined) return overPage;
    if (!isBound(fields, found.binding)) return elsewherePage;
    const { waiting, identity } = found;
    if (!isNear(waiting, from)) return this.#refuse(farPage, from, "it is not in the login's network");
    signIns.confirming.take(name);
    if (!signIns.isOpen(waiting)) return goneLoginPage;
    signIns.close(waiting);
    if (agreed) {
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

/** By which it is found. */
function nameIn(step: Exclude<Step, { kind: "code" }>): string {
  return step.kind === "back" ? (stateIn(step.query) ?? "") : step.login;
}

/** Undefined: there are several. */
function stateIn(query: string): string | undefined {
  const [state = "", ...more] = new URLSearchParams(query).getAll("state");
  return more.length > 0 ? undefined : state;
}

/** Whether a browser is where it must be. Of who has no address that can be known, nobody can say. */
function isNear({ login }: WaitingCode, from: PeerAddress): boolean {
  if (!login.sameNetwork) return true;
  return from.ip !== undefined && networkIn(login.from) === networkIn(from);
}

function placeOf({ ip, text }: PeerAddress): string {
  return ip ?? text;
}

/** A name is the client's own words. */
function shown(text: string): string {
  return text.replaceAll(/[\p{C}\p{Z}]/gu, "?").slice(0, 200);
}
