import type { Clock } from "#base";
import type { Identity, PeerAddress, SignInDesk, SignInProvider, SignInVisit, WaitingLogin } from "#contract";
import type { Page } from "../pages.ts";
import type { Binding } from "./binding.ts";
import { newCode } from "./code.ts";
import { Kept } from "./kept.ts";
import type { Seen, Step } from "./steps.ts";
import { WrongCodes } from "./tries.ts";

/** Logins by SSH that wait for somebody at a browser. */
export const maxWaitingSignIns = 1000;

/** Visits at the provider that one code may begin: people change browsers, and no more. */
export const maxVisitsPerCode = 5;

/** Browsers that are on their way, of all networks and of one. */
export const maxBrowsers = 10_000;
export const maxBrowsersPerNetwork = 300;

/** Time at the provider, with all that people may have to do there. */
const visitMs = 600_000;

/** Time from one redirect to the next. */
const handOverMs = 60_000;

/** A login by SSH, and how often its code has been used. */
export interface WaitingCode {
  readonly code: string;
  readonly login: WaitingLogin;
  /** The gateway's own host, as the login was told of it. */
  readonly address: string;
  visits: number;
}

/** Somebody who wants to see a device's page. */
export interface PageLogin {
  /** Where the device's page is: its host, with its port, as the browser says it; and its path, if there are others at that host. */
  readonly place: string;
  /** The browser, as it is known there. */
  readonly binding: Binding;
  readonly provider: SignInProvider;
  /** The gateway's own host. */
  readonly address: string;
  /** Where they want to go there. */
  readonly next: string;
}

/** A browser at the provider. */
export interface Visiting {
  readonly visit: SignInVisit;
  readonly provider: SignInProvider;
  /** The browser, as it is known at the gateway's own host. */
  readonly binding: Binding;
  readonly purpose: WaitingCode | PageLogin;
}

/** Somebody who is to say that a login is theirs. */
export interface Confirming {
  readonly waiting: WaitingCode;
  readonly identity: Identity;
  readonly binding: Binding;
}

/** A proof on its way to a device's host. */
export interface HandedOver extends Pick<PageLogin, "place" | "binding" | "next"> {
  readonly identity: Identity;
}

/** The sign-ins of the gateway's other processes. Each is in one of them, and goes on there wherever the browser has come. */
export interface OtherSignIns {
  /** The one here, as names say it that are made here. */
  readonly here: number;
  /** What the one that has it says; `at` absent: all are asked. Undefined: none has it. */
  take(step: Step, seen: Seen, at?: number): Promise<Page | undefined>;
  /** Once. */
  ticket(name: string, at: number): Promise<HandedOver | undefined>;
  /** Somebody has tried a code that nobody was shown. */
  wrongCode(from: PeerAddress): void;
}

/** All sign-ins of this process, whatever configuration they began with. */
export class SignIns {
  readonly wrongCodes: WrongCodes;
  /** Asked for at a device's host, to be begun at the gateway's own. */
  readonly asked: Kept<PageLogin>;
  /** By their state. */
  readonly visiting: Kept<Visiting>;
  readonly confirming: Kept<Confirming>;
  /** Tickets: proven at the gateway's own host, to be taken at a device's. */
  readonly handedOver: Kept<HandedOver>;
  /** Absent: there are none. */
  readonly others: OtherSignIns | undefined;
  /** Of all names that are made here. */
  readonly mark: string;
  /** Browsers that are back from a provider, which is being asked who they are. */
  finishing = 0;
  readonly #codes = new Map<string, WaitingCode>();

  constructor(clock: Clock, others?: OtherSignIns) {
    this.others = others;
    const mark = others === undefined ? "" : `${others.here}.`;
    this.mark = mark;
    const kept = <T>(lifeMs: number): Kept<T> =>
      new Kept({ clock, lifeMs, mark, max: maxBrowsers, maxPerNetwork: maxBrowsersPerNetwork });
    this.wrongCodes = new WrongCodes(clock);
    this.asked = kept(handOverMs);
    this.visiting = kept(visitMs);
    this.confirming = kept(visitMs);
    this.handedOver = kept(handOverMs);
  }

  /** Where logins wait, with codes to be entered at an address. */
  desk(address: string): SignInDesk {
    return {
      open: (login) => {
        if (this.#codes.size >= maxWaitingSignIns) return undefined;
        let code = newCode();
        while (this.#codes.has(code)) code = newCode();
        const waiting: WaitingCode = { code, login, address, visits: 0 };
        this.#codes.set(code, waiting);
        return {
          code,
          address: `${address}/`,
          addressWithCode: `${address}/?code=${code}`,
          [Symbol.dispose]: () => this.close(waiting),
        };
      },
    };
  }

  /** Which other process has given out a name; undefined: this one, or none. */
  holderOf(name: string): number | undefined {
    const [, number] = /^(\d{1,4})\./.exec(name) ?? [];
    const holder = number === undefined ? undefined : Number(number);
    return this.others === undefined || holder === this.others.here ? undefined : holder;
  }

  /** What a ticket stands for, wherever it was given out. Once. */
  async ticket(name: string): Promise<HandedOver | undefined> {
    const holder = this.holderOf(name);
    return holder === undefined ? this.handedOver.take(name) : await this.others?.ticket(name, holder);
  }

  /** Who waits with a code. */
  waiting(code: string): WaitingCode | undefined {
    return this.#codes.get(code);
  }

  /** Whether it waits still, and was not decided. */
  isOpen(waiting: WaitingCode): boolean {
    return this.#codes.get(waiting.code) === waiting;
  }

  /** Decided: its code is of no use any more. */
  close(waiting: WaitingCode): void {
    if (this.isOpen(waiting)) this.#codes.delete(waiting.code);
  }
}
