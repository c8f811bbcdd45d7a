import { createHash } from "node:crypto";
import type { Reply } from "./asked.ts";
import type { Fields } from "./fields.ts";

/** Paths that are the gateway's own at the hosts of devices with a login. */
export const ownPaths = {
  login: "/.postern/login",
  logout: "/.postern/logout",
  /** To a provider, and back from it. */
  signIn: "/.postern/sign-in",
  signedIn: "/.postern/signed-in",
  prefix: "/.postern/",
} as const;

const style = `
:root { color-scheme: light dark; font: 100%/1.5 system-ui, sans-serif; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; }
main { width: min(22rem, 90vw); padding: 2rem 0; }
h1 { font-size: 1.25rem; overflow-wrap: anywhere; }
label { display: block; margin: 1rem 0 0.25rem; }
input, button { font: inherit; width: 100%; box-sizing: border-box; padding: 0.5rem; }
button, .go { margin-top: 1.5rem; }
.go { display: block; text-align: center; padding: 0.5rem; border: 1px solid; border-radius: 0.25rem; color: inherit; }
dt { opacity: 0.7; }
dd { margin: 0 0 0.75rem; font-weight: bold; overflow-wrap: anywhere; }
#code { font-size: 1.25rem; letter-spacing: 0.05em; }
.wrong { color: #c00; }
@media (prefers-color-scheme: dark) { .wrong { color: #f88; } }
`;

const styleHash = createHash("sha256").update(style).digest("base64");

const always: Fields = [
  ["Content-Type", "text/html; charset=utf-8"],
  ["Cache-Control", "no-store"],
  ["X-Content-Type-Options", "nosniff"],
  // Without its own origin, a form would be a stranger's.
  ["Referrer-Policy", "same-origin"],
  [
    "Content-Security-Policy",
    `default-src 'none'; style-src 'sha256-${styleHash}'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'`,
  ],
];

/** An answer of the gateway's own. */
export interface Page {
  readonly status: number;
  readonly text: string;
  readonly fields?: Fields;
}

const texts: Readonly<Record<number, string>> = {
  303: "See Other",
  308: "Permanent Redirect",
  400: "Bad Request",
  401: "Unauthorized",
  403: "Forbidden",
  404: "Not Found",
  405: "Method Not Allowed",
  413: "Content Too Large",
  421: "Misdirected Request",
  429: "Too Many Requests",
  502: "Bad Gateway",
  503: "Service Unavailable",
  504: "Gateway Timeout",
};

/** Says it whole; resolves when it is said, or nobody listens. `last`: nothing more is read from the client. */
export async function say(reply: Reply, { status, text, fields = [] }: Page, last = false): Promise<void> {
  if (reply.begun || reply.sink.destroyed) {
    reply.sink.destroy();
    return;
  }
  const length = ["Content-Length", String(Buffer.byteLength(text))] as const;
  const close = last ? [["Connection", "close"] as const] : [];
  reply.begin(status, texts[status] ?? "", [...always, ...fields, length, ...close]);
  // Answers to HEAD are whole with their head.
  if (!reply.sink.writableEnded) reply.sink.end(text);
  await reply.over();
}

export function escaped(text: string): string {
  return text.replace(/[&<>"']/g, (mark) => `&#${mark.charCodeAt(0)};`);
}

/** `parts` are HTML. */
export function htmlPage(title: string, ...parts: readonly string[]): string {
  const head = `<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${escaped(title)}</title>`;
  return `<!doctype html>\n<html lang="en"><head>${head}<style>${style}</style></head>\n<body><main>\n<h1>${escaped(title)}</h1>\n${parts.join("\n")}\n</main></body></html>\n`;
}

/** One sentence, or a few. */
export function plainPage(status: number, title: string, ...lines: readonly string[]): Page {
  return { status, text: htmlPage(title, ...lines.map((line) => `<p>${escaped(line)}</p>`)) };
}

/** How a device's page can be logged in to. */
export interface LoginWays {
  readonly passwords: boolean;
  /** Providers, by what people call them. */
  readonly providers: readonly string[];
}

export function loginPage(
  host: string,
  next: string,
  { passwords, providers }: LoginWays,
  wrong?: string,
): Page {
  const links = providers.map((title, at) => {
    const query = new URLSearchParams({ provider: String(at + 1), next });
    return `<a class="go" href="${escaped(`${ownPaths.signIn}?${query.toString()}`)}">Sign in at ${escaped(title)}</a>`;
  });
  const parts = [
    ...(wrong === undefined ? [] : [`<p class="wrong" role="alert">${escaped(wrong)}</p>`]),
    ...links,
    ...(passwords || links.length === 0 ? passwordForm(next) : []),
  ];
  return { status: wrong === undefined ? 200 : 401, text: htmlPage(`Log in to ${host}`, ...parts) };
}

function passwordForm(next: string): string[] {
  return [
    `<form method="post" action="${ownPaths.login}">`,
    `<input type="hidden" name="next" value="${escaped(next)}">`,
    '<label for="user">Name</label>',
    '<input id="user" name="user" autocomplete="username" autocapitalize="none" required autofocus>',
    '<label for="password">Password</label>',
    '<input id="password" name="password" type="password" autocomplete="current-password" required>',
    "<button>Log in</button>",
    "</form>",
  ];
}

export function logoutPage(host: string): Page {
  const form = `<form method="post" action="${ownPaths.logout}"><button>Log out</button></form>`;
  return { status: 200, text: htmlPage(`Log out of ${host}`, form) };
}

/** Elsewhere, at the same host. */
export function goTo(path: string, fields: Fields = []): Page {
  return { status: 303, text: "", fields: [["Location", path], ...fields] };
}

/** Where a login leads: a path of the same host, whatever was asked for. */
export function safePath(said: string | null | undefined): string {
  if (said === null || said === undefined || said.length > 2048) return "/";
  // Browsers take \ for /, and leave out tabs and line ends: such a path could be another host's.
  return /^\/(?![/\\])[\x21-\x7e]*$/.test(said) && !said.includes("\\") && !said.startsWith(ownPaths.prefix)
    ? said
    : "/";
}
