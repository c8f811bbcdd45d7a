import type { Identity, PeerAddress, SignInProvider } from "#contract";
import type { Asked } from "../asked.ts";
import { goTo, type Page } from "../pages.ts";
import { bindingFor, isBound } from "./binding.ts";
import { signInPaths } from "./pages.ts";
import type { SignInConfig } from "./schema.ts";
import type { SignIns } from "./sign-ins.ts";

function placeOf({ authority, prefix = "" }: Asked): string {
  return `${authority}${prefix}`;
}

/** A device's host, in a sign-in that goes by the gateway's own. */
export class DeviceSignIn {
  readonly #address: string;
  readonly #signIns: SignIns;

  constructor({ address }: SignInConfig, signIns: SignIns) {
    this.#address = address;
    this.#signIns = signIns;
  }

  begin(asked: Asked, from: PeerAddress, provider: SignInProvider, next: string): Page {
    const { binding, fields } = bindingFor(asked.fields);
    const name = this.#signIns.asked.put(
      { place: placeOf(asked), binding, provider, address: this.#address, next },
      from,
    );
    return goTo(`${this.#address}${signInPaths.start}?login=${name}`, fields);
  }

  /** Who has come back, by a ticket that is good once, for the host and the browser that asked for it. Undefined: nobody. */
  async finish(
    asked: Asked,
    ticket: string,
  ): Promise<{ readonly identity: Identity; readonly next: string } | undefined> {
    const found = await this.#signIns.ticket(ticket);
    if (found === undefined || found.place !== placeOf(asked) || !isBound(asked.fields, found.binding))
      return undefined;
    return { identity: found.identity, next: found.next };
  }
}
