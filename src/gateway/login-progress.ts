import type {
  AuthMethod,
  DeviceSubject,
  LoginDirection,
  LoginStep,
  Proof,
  Restrictions,
  Route,
} from "#contract";
import { directedRoute } from "./router.ts";

/** A step of a login that is done. */
export interface PassedStep {
  /** SSH's name of the method. */
  readonly method: Proof["method"];
  /** What proved it, for the log. */
  readonly by: string;
  readonly restrictions: readonly Restrictions[];
  readonly device?: DeviceSubject | undefined;
  readonly subject?: string | undefined;
  /** Copied; wiped by `forget`. */
  readonly password?: Uint8Array | undefined;
}

/** How far one name has come, under the rule that judged its first proof. */
export class LoginProgress {
  #route: Route;
  readonly #passed: Omit<PassedStep, "password" | "subject">[] = [];
  #password: Uint8Array | undefined;

  constructor(route: Route) {
    this.#route = route;
  }

  get route(): Route {
    return this.#route;
  }

  /** Leads it elsewhere; or gives the reason why that may not be. */
  turn(direction: LoginDirection): string | undefined {
    const route = directedRoute(this.#route, direction);
    if (typeof route === "string") return route;
    this.#route = route;
    return undefined;
  }

  /** What is done. */
  get passed(): readonly { readonly method: Proof["method"]; readonly by: string }[] {
    return this.#passed.map(({ method, by }) => ({ method, by }));
  }

  /** The client has proven something already. */
  get started(): boolean {
    return this.#passed.length > 0;
  }

  get complete(): boolean {
    return this.#passed.length >= this.#route.login.length;
  }

  /** What the client may go on with. */
  get offered(): readonly Proof["method"][] {
    return methodsOf(this.#step);
  }

  /** What the step that is due has for a proof of this form. */
  judges(method: Proof["method"]): readonly AuthMethod[] {
    return this.#step.filter(({ methods }) => methods.includes(method));
  }

  pass({ method, by, restrictions, device, password }: PassedStep): void {
    this.#passed.push({ method, by, restrictions, device });
    if (password === undefined) return;
    this.forget();
    this.#password = Uint8Array.from(password);
  }

  /** All that was proven. */
  get proven(): {
    readonly method: string;
    readonly by: string;
    readonly restrictions: readonly Restrictions[];
    readonly device?: DeviceSubject;
  } {
    const device = this.#passed.find((step) => step.device !== undefined)?.device;
    return {
      ...(device === undefined ? {} : { device }),
      method: this.#passed.map(({ method }) => method).join(","),
      by: this.#passed.map(({ by }) => by).join(", "),
      restrictions: this.#passed.flatMap(({ restrictions }) => restrictions),
    };
  }

  /** The client's own password, if one of the steps took one. */
  get password(): Uint8Array | undefined {
    return this.#password;
  }

  /** Wipes the password. */
  forget(): void {
    this.#password?.fill(0);
    this.#password = undefined;
  }

  get #step(): LoginStep {
    return this.#route.login[this.#passed.length] ?? [];
  }
}

/** SSH's methods that a step can be done by, each once. */
export function methodsOf(step: LoginStep): readonly Proof["method"][] {
  return [...new Set(step.flatMap(({ methods }) => methods))];
}
