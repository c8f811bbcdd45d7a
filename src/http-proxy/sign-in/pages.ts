import { escaped, htmlPage, type Page, plainPage } from "../pages.ts";

/** Paths of the gateway's own host. */
export const signInPaths = {
  code: "/",
  start: "/start",
  callback: "/callback/",
  confirm: "/confirm",
} as const;

export function codePage(code: string, wrong?: string): Page {
  const form = [
    ...(wrong === undefined ? [] : [`<p class="wrong" role="alert">${escaped(wrong)}</p>`]),
    `<form method="post" action="${signInPaths.code}">`,
    '<label for="code">The code that your terminal shows</label>',
    `<input id="code" name="code" value="${escaped(code)}" autocomplete="off" autocapitalize="characters" spellcheck="false" maxlength="40" required autofocus>`,
    "<button>Continue</button>",
    "</form>",
    "<p>Enter only a code that you see in your own terminal. If somebody has sent it to you, close this page.</p>",
  ];
  return { status: wrong === undefined ? 200 : 400, text: htmlPage("Log in by SSH", ...form) };
}

/** A page that goes on by itself: a form's answer must not lead to another site. */
export function onwardPage(title: string, address: string): Page {
  const to = escaped(address);
  const text = htmlPage(
    "One moment",
    `<meta http-equiv="refresh" content="0;url=${to}">`,
    `<p><a class="go" href="${to}">Sign in at ${escaped(title)}</a></p>`,
  );
  return { status: 200, text };
}

export interface ShownLogin {
  readonly code: string;
  readonly user: string;
  /** Where it comes from. */
  readonly from: string;
  readonly who: string;
  /** Where the browser is, if that is elsewhere. */
  readonly browser?: string | undefined;
}

export function confirmPage(login: string, { code, user, from, who, browser }: ShownLogin): Page {
  const rows: readonly (readonly [string, string, string])[] = [
    ["code", "Code", code],
    ["user", "Name", user],
    ["from", "From", from],
    ["who", "You are", who],
  ];
  const parts = [
    "<p>Somebody waits at a terminal, to log in as you. Is it you?</p>",
    `<dl>${rows.map(([id, name, value]) => `<dt>${name}</dt><dd id="${id}">${escaped(value)}</dd>`).join("")}</dl>`,
    ...(browser === undefined
      ? []
      : [
          `<p id="elsewhere">The login comes from another address than this browser, ${escaped(browser)}.</p>`,
        ]),
    "<p>Agree only if your own terminal shows this very code.</p>",
    `<form method="post" action="${signInPaths.confirm}">`,
    `<input type="hidden" name="login" value="${escaped(login)}">`,
    '<button name="answer" value="yes">It is me: log in</button>',
    '<button name="answer" value="no" class="other">No, refuse it</button>',
    "</form>",
  ];
  return { status: 200, text: htmlPage("Is this your login?", ...parts) };
}

export const donePage: Page = plainPage(200, "Done", "Go back to your terminal. You may close this page.");
export const refusedPage: Page = plainPage(
  200,
  "Refused",
  "The login was refused. If you did not ask for it, tell your administrator.",
);
export const overPage: Page = plainPage(
  400,
  "Too late",
  "This sign-in is over, or was never begun. Start again.",
);
export const elsewherePage: Page = plainPage(
  403,
  "Another browser",
  "This sign-in was begun in another browser. Start again in this one.",
);
export const farPage: Page = plainPage(
  403,
  "Not from here",
  "This login can be agreed to only from the network that it comes from. If somebody has sent you this code, close this page.",
);
export const goneLoginPage: Page = plainPage(
  400,
  "Too late",
  "The login at the terminal is over. Log in again, with a new code.",
);
export const tooManyPage: Page = {
  ...plainPage(
    429,
    "Too many codes",
    "Too many wrong codes have come from your network. Try again in ten minutes.",
  ),
  fields: [["Retry-After", "600"]],
};
export const busyPage: Page = {
  ...plainPage(503, "Too many sign-ins", "Too many people are signing in at this moment. Try again."),
  fields: [["Retry-After", "5"]],
};

/** By the provider's word somebody, and not for this. */
export function notForYouPage(who: string): Page {
  return plainPage(403, "Not for you", `You are signed in as ${who}, who may not log in here by this name.`);
}

export function strangerPage(who: string): Page {
  return plainPage(403, "Not for you", `You are signed in as ${who}, who may not log in here.`);
}

export function failedPage(words: string): Page {
  return plainPage(502, "Not signed in", words);
}
