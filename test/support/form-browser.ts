import { request } from "node:https";

/** What a page is. */
interface Page {
  readonly url: URL;
  readonly status: number;
  readonly text: string;
}

const maxRedirects = 20;

/** Somebody at a browser, by plain requests: cookies, redirects, forms. Nothing of JavaScript. */
export class FormBrowser {
  readonly #authority: string;
  readonly #cookies = new Map<string, string>();

  /** `authority`: a certificate as PEM. */
  constructor(authority: string) {
    this.#authority = authority;
  }

  async open(address: string | URL): Promise<Page> {
    return await this.#ask(new URL(address), undefined);
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
      [url, body] = [new URL(location, url), undefined];
    }
    throw new Error(`too many redirects, the last to ${url.href}`);
  }

  #once(
    url: URL,
    fields: URLSearchParams | undefined,
  ): Promise<{ readonly status: number; readonly location: string | undefined; readonly text: string }> {
    const cookie = [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; ");
    const headers = {
      accept: "text/html",
      ...(cookie === "" ? {} : { cookie }),
      ...(fields === undefined ? {} : { "content-type": "application/x-www-form-urlencoded" }),
    };
    const method = fields === undefined ? "GET" : "POST";
    return new Promise((resolve, reject) => {
      const asked = request(url, { method, headers, ca: this.#authority, agent: false }, (response) => {
        for (const line of response.headers["set-cookie"] ?? []) {
          const [, name = "", value = ""] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
          if (value === "") this.#cookies.delete(name);
          else this.#cookies.set(name, value);
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

function attribute(tag: string, name: string): string | undefined {
  const [, value] = new RegExp(`\\s${name}="([^"]*)"`).exec(tag) ?? [];
  return value?.replaceAll("&amp;", "&").replaceAll("&quot;", '"');
}
