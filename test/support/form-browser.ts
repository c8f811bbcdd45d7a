import { request } from "node:https";
import type { LookupFunction } from "node:net";

/** What a page is. */
export interface Page {
  readonly url: URL;
  readonly status: number;
  readonly text: string;
}

const maxRedirects = 20;

/** Somebody at a browser, by plain requests: cookies, redirects, forms. Nothing of JavaScript. */
export class FormBrowser {
  readonly #authorities: readonly string[];
  /** By the host that gave them. */
  readonly #cookies = new Map<string, Map<string, string>>();
  /** Redirects to such addresses are not followed. */
  stopAt: RegExp | undefined;

  /** `authorities`: certificates as PEM. */
  constructor(...authorities: readonly string[]) {
    this.#authorities = authorities;
  }

  /** What a host has given it: to look at, and to change. */
  cookiesOf(host: string): Map<string, string> {
    const found = this.#cookies.get(host) ?? new Map<string, string>();
    this.#cookies.set(host, found);
    return found;
  }

  async open(address: string | URL): Promise<Page> {
    return await this.#ask(new URL(address), undefined);
  }

  /** Goes where the page's first link leads. */
  async follow({ url, text }: Page): Promise<Page> {
    const [link = ""] = /<a [^>]*>/.exec(text) ?? [];
    return await this.open(new URL(attribute(link, "href") ?? "", url));
  }

  /** Sends the page's first form with its own values and these. */
  async submit({ url, text }: Page, values: Readonly<Record<string, string>> = {}): Promise<Page> {
    const [, attributes = "", inner = ""] = /<form([^>]*)>([\s\S]*?)<\/form>/.exec(text) ?? [];
    const fields = new URLSearchParams();
    for (const [input] of inner.matchAll(/<input[^>]*>/g)) {
      const name = attribute(input, "name");
      if (name !== undefined) fields.set(name, attribute(input, "value") ?? "");
    }
    for (const [name, value] of Object.entries(values)) fields.set(name, value);
    return await this.#ask(new URL(attribute(attributes, "action") ?? "", url), fields);
  }

  async #ask(first: URL, fields: URLSearchParams | undefined): Promise<Page> {
    let [url, body] = [first, fields];
    for (let hops = 0; hops < maxRedirects; hops += 1) {
      const { status, location, text } = await this.#once(url, body);
      if (location === undefined) return { url, status, text };
      if (this.stopAt?.test(location) === true) return { url: new URL(location, url), status, text };
      [url, body] = [new URL(location, url), undefined];
    }
    throw new Error(`too many redirects, the last to ${url.href}`);
  }

  #once(
    url: URL,
    fields: URLSearchParams | undefined,
  ): Promise<{ readonly status: number; readonly location: string | undefined; readonly text: string }> {
    const cookies = this.cookiesOf(url.host);
    const cookie = [...cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = {
      accept: "text/html",
      ...(cookie === "" ? {} : { cookie }),
      ...(fields === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
    };
    const method = fields === undefined ? "GET" : "POST";
    return new Promise((resolve, reject) => {
      const ca = [...this.#authorities];
      const asked = request(url, { method, headers, ca, agent: false, lookup }, (response) => {
        for (const line of response.headers["set-cookie"] ?? []) {
          const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
          if (value === "") cookies.delete(name);
          else cookies.set(name, value);
        }
        const chunks: Buffer[] = [];
        response.on("data", (chunk: Buffer) => chunks.push(chunk));
        response.on("error", reject);
        response.on("end", () => {
          const { statusCode: status = 0, headers: given } = response;
          const redirected = status >= 300 && status < 400;
          resolve({
            status,
            location: redirected ? given.location : undefined,
            text: Buffer.concat(chunks).toString(),
          });
        });
      });
      asked.on("error", reject);
      asked.end(fields?.toString());
    });
  }
}

/** Every host is at this machine. */
const lookup: LookupFunction = (_host, _options, found) => {
  found(null, [{ address: "127.0.0.1", family: 4 }]);
};

function attribute(tag: string, name: string): string | undefined {
  const [, value] = new RegExp(`\\s${name}="([^"]*)"`).exec(tag) ?? [];
  return value
    ?.replaceAll("&amp;", "&")
    .replaceAll("&quot;", '"')
    .replaceAll(/&#(\d+);/g, (_, number: string) => String.fromCharCode(Number(number)));
}
