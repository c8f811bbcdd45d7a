/** Chromium without a window, told what to do by its DevTools protocol. */
import { createHash, X509Certificate } from "node:crypto";
import { readFileSync } from "node:fs";
import { once } from "node:events";
import { WebSocket } from "ws";
import { Child } from "./child.ts";
import { stranger } from "./strangers.ts";
import { tempDir } from "./temp-dir.ts";
import { until, within } from "./waiting.ts";

export interface Browser extends AsyncDisposable {
  /** Goes to a page, and waits until it has loaded. */
  visit(url: string): Promise<void>;
  /** What an expression in the page comes to; promises are waited for. */
  value<T>(expression: string): Promise<T>;
  /** Waits until it comes to something true. */
  when(expression: string): Promise<void>;
  /** Types into the element that a selector names. */
  type(selector: string, text: string): Promise<void>;
  cookies(): Promise<readonly BrowserCookie[]>;
}

export interface BrowserCookie {
  readonly name: string;
  readonly value: string;
  readonly domain: string;
  readonly path: string;
  readonly httpOnly: boolean;
  readonly secure: boolean;
  readonly sameSite?: string;
}

interface Answer {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

/** `certificates` are trusted, whatever names they are for; all of `domain` is at this machine. */
export async function startBrowser(domain: string, ...certificates: readonly string[]): Promise<Browser> {
  await using stack = new AsyncDisposableStack();
  const folder = stack.use(await tempDir());
  const trusted = certificates.map((certificate) => {
    const { publicKey } = new X509Certificate(readFileSync(certificate));
    return createHash("sha256")
      .update(publicKey.export({ type: "spki", format: "der" }))
      .digest("base64");
  });
  const child = stack.use(
    new Child(stranger("chromium"), [
      "--headless=new",
      "--no-sandbox",
      "--disable-gpu",
      "--disable-dev-shm-usage",
      "--no-first-run",
      "--no-proxy-server",
      "--remote-debugging-port=0",
      `--user-data-dir=${folder.at("profile")}`,
      `--host-resolver-rules=MAP *.${domain} 127.0.0.1`,
      `--ignore-certificate-errors-spki-list=${trusted.join(",")}`,
      "about:blank",
    ]),
  );
  const place = await child.waitFor("DevTools", () => /ws:\/\/([^/\s]+)\/devtools/.exec(child.stderr)?.[1]);
  const page = await until("a page", async () => {
    const pages = (await (await fetch(`http://${place}/json`)).json()) as {
      readonly type: string;
      readonly webSocketDebuggerUrl: string;
    }[];
    return pages.find(({ type }) => type === "page")?.webSocketDebuggerUrl;
  });
  const socket = new WebSocket(page);
  stack.defer(() => socket.terminate());
  await within("DevTools", once(socket, "open"));
  const waiting = new Map<number, (answer: Answer) => void>();
  socket.on("message", (data: Buffer) => {
    const answer = JSON.parse(data.toString()) as Answer;
    if (answer.id !== undefined) waiting.get(answer.id)?.(answer);
  });
  let last = 0;
  const ask = async (method: string, params: Readonly<Record<string, unknown>> = {}): Promise<unknown> => {
    const id = ++last;
    const answered = new Promise<Answer>((resolve) => waiting.set(id, resolve));
    socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await within(method, answered);
    waiting.delete(id);
    if (error !== undefined) throw new Error(`${method}: ${error.message}`);
    return result;
  };
  const value = async <T>(expression: string): Promise<T> => {
    const { result, exceptionDetails } = (await ask("Runtime.evaluate", {
      expression,
      awaitPromise: true,
      returnByValue: true,
    })) as { readonly result: { readonly value: T }; readonly exceptionDetails?: { readonly text: string } };
    if (exceptionDetails !== undefined) throw new Error(`${expression}: ${JSON.stringify(exceptionDetails)}`);
    return result.value;
  };
  const when = async (expression: string): Promise<void> => {
    // A page that is being left answers nothing.
    await until(expression, async () => await value<boolean>(`Boolean(${expression})`).catch(() => false));
  };
  const owned = stack.move();
  return {
    visit: async (url) => {
      await ask("Page.navigate", { url });
      await when(`location.href !== "about:blank" && document.readyState === "complete"`);
    },
    value,
    when,
    type: async (selector, text) => {
      await value(`document.querySelector(${JSON.stringify(selector)}).focus()`);
      await ask("Input.insertText", { text });
    },
    cookies: async () => {
      const { cookies } = (await ask("Network.getCookies")) as { readonly cookies: readonly BrowserCookie[] };
      return cookies;
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
