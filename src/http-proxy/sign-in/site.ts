import type { Clock, PosternError } from "#base";
import type { WebClient } from "#contract";
import { type Asked, isForeign, type Reply } from "../asked.ts";
import { bodyOf } from "../body.ts";
import { maxFormBytes } from "../gate.ts";
import { type Page, plainPage, say } from "../pages.ts";
import type { Site } from "../site.ts";
import type { Visitor } from "../visitor.ts";
import { readCode } from "./code.ts";
import { codePage, failedPage, signInPaths } from "./pages.ts";
import type { SignInConfig } from "./schema.ts";
import { SignInSteps, type Step, type StepPorts } from "./steps.ts";

export interface SignInSitePorts extends StepPorts {
  readonly clock: Clock;
}

const foreignPage = plainPage(403, "Refused", "Another site's page asked for this. Open the address itself.");
const nothing = plainPage(404, "Nothing here", "There is no such page.");
const tooLong = plainPage(413, "Too long", "That is more than is asked for.");
const unknownMethod: Page = {
  ...plainPage(405, "Refused", "GET and POST are known here."),
  fields: [["Allow", "GET, POST"]],
};

/** The gateway's own pages: codes are entered here, and browsers come back here from all providers. */
export class SignInSite implements Site {
  readonly plain: Site["plain"];
  readonly authority: string;
  readonly #host: string;
  readonly #clock: Clock;
  readonly #steps: SignInSteps;

  constructor({ address, plain }: SignInConfig, ports: SignInSitePorts) {
    this.plain = plain;
    const { host, hostname } = new URL(address);
    this.authority = host;
    this.#host = hostname;
    this.#clock = ports.clock;
    this.#steps = new SignInSteps(ports);
  }

  takes(host: string): boolean {
    return host === this.#host;
  }

  async answer(asked: Asked, reply: Reply, { client }: Visitor): Promise<void> {
    const step = await this.#stepOf(asked, client);
    const { fields } = asked;
    const { from } = client.desk;
    await say(reply, "kind" in step ? await this.#steps.take(step, { fields, from }) : step);
  }

  async failure(_asked: Asked, { user }: PosternError): Promise<Page> {
    return failedPage(user);
  }

  /** What is asked for; or a page, where nothing is. */
  async #stepOf(asked: Asked, client: WebClient): Promise<Step | Page> {
    const { method } = asked;
    const [path = ""] = asked.path.split("?", 1);
    const query = asked.path.slice(path.length + 1);
    if (method === "POST") {
      if (isForeign(asked, client.serverName !== undefined, false)) return foreignPage;
      if (path !== signInPaths.code && path !== signInPaths.confirm) return nothing;
      const said = await bodyOf(asked.body, maxFormBytes, this.#clock);
      if (said === undefined) return tooLong;
      const form = new URLSearchParams(said);
      return path === signInPaths.code
        ? { kind: "code", typed: form.get("code") ?? "" }
        : { kind: "decide", login: form.get("login") ?? "", agreed: form.get("answer") === "yes" };
    }
    if (method !== "GET") return unknownMethod;
    const form = new URLSearchParams(query);
    if (path === signInPaths.code) return codePage(readCode(form.get("code") ?? "") ?? "");
    if (path === signInPaths.start) return { kind: "start", login: form.get("login") ?? "" };
    if (path === signInPaths.confirm) return { kind: "confirm", login: form.get("login") ?? "" };
    if (path.startsWith(signInPaths.callback)) return { kind: "back", path, query };
    return nothing;
  }
}
