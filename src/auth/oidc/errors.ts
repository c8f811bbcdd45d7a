import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_OIDC_INVALID: {
    user: "The gateway is not set up correctly.",
    operator: "what is needed to ask the OpenID provider cannot be used",
  },
  UPSTREAM_OIDC_UNREACHABLE: {
    user: "The sign-in service cannot be reached. Try again later.",
    operator: "the OpenID provider did not answer, or not in time",
  },
  UPSTREAM_OIDC_UNFIT: {
    user: "The sign-in service does not answer as it should. Tell the gateway's administrator.",
    operator: "the OpenID provider refused the gateway, or answered with something that cannot be used",
  },
  UPSTREAM_OIDC_UNTRUSTED: {
    user: "The sign-in service gave an answer that cannot be trusted. Tell the gateway's administrator.",
    operator:
      "a token is not for this gateway, not by this provider, not of this login, or not signed as it must be",
  },
  DENIED_OIDC_REFUSED: {
    user: "The sign-in was refused in the browser.",
    operator: "the person, or the OpenID provider for them, refused the sign-in",
  },
  DENIED_OIDC_EXPIRED: {
    user: "The time to sign in is over. Try again with a new code.",
    operator: "nobody signed in with the code in time",
  },
  DENIED_OIDC_BUSY: {
    user: "Too many people are signing in at this moment. Try again in a minute.",
    operator: "too many sign-ins wait for somebody at a browser",
  },
} as const;

export const oidcErrors: ErrorTable<typeof rows> = defineErrors(rows);
