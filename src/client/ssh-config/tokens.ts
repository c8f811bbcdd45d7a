import { createHash } from "node:crypto";
import { homedir, hostname, userInfo } from "node:os";
import { clientErrors } from "../errors.ts";

/** What the tokens of ssh_config stand for (ssh_config(5), TOKENS). */
export interface TokenValues {
  /** %h: where the connection goes. */
  readonly hostName: string;
  /** %n: as typed. */
  readonly host: string;
  /** %p, in digits. */
  readonly port: number;
  /** %r */
  readonly user: string;
  /** %k: HostKeyAlias, or the name typed. */
  readonly alias: string;
  /** %j: the jump hosts, or nothing. */
  readonly jump: string;
}

/** The account that runs this. */
export interface LocalAccount {
  readonly user: string;
  readonly uid: number;
  readonly home: string;
  /** Of this machine, up to the first dot and whole. */
  readonly hostName: string;
}

export function localAccount(): LocalAccount {
  const { username, uid } = userInfo();
  return { user: username, uid, home: homedir(), hostName: hostname() };
}

/** Puts values in for tokens. Throws OPERATOR_CLIENT_CONFIG for a token that is none. */
export function expandTokens(text: string, values: TokenValues, account: LocalAccount): string {
  return text.replace(/%(.?)/gs, (_whole, token: string) => {
    const value = tokenValue(token, values, account);
    if (value !== undefined) return value;
    throw new clientErrors.OPERATOR_CLIENT_CONFIG(
      `"${text.slice(0, 100)}" in ssh_config: there is no token %${token}.`,
    );
  });
}

function tokenValue(token: string, values: TokenValues, account: LocalAccount): string | undefined {
  const { hostName, host, port, user, alias, jump } = values;
  switch (token) {
    case "%":
      return "%";
    case "h":
      return hostName;
    case "n":
      return host;
    case "p":
      return String(port);
    case "r":
      return user;
    case "k":
      return alias;
    case "j":
      return jump;
    case "u":
      return account.user;
    case "i":
      return String(account.uid);
    case "d":
      return account.home;
    case "l":
      return account.hostName;
    case "L":
      return account.hostName.replace(/\..*$/s, "");
    case "C":
      return createHash("sha1").update(`${account.hostName}${hostName}${port}${user}${jump}`).digest("hex");
    default:
      return undefined;
  }
}

/** `~` and `~/…` of the one who runs this. Other people's homes are not known here. */
export function expandHome(path: string, home: string): string {
  return path === "~" || path.startsWith("~/") ? home + path.slice(1) : path;
}

/** `${NAME}` of the environment. Throws OPERATOR_CLIENT_CONFIG for one that is not set. */
export function expandEnvironment(
  text: string,
  environment: Readonly<Record<string, string | undefined>>,
): string {
  return text.replace(/\$\{([^}]*)\}/g, (_whole, name: string) => {
    const value = environment[name];
    if (value !== undefined) return value;
    throw new clientErrors.OPERATOR_CLIENT_CONFIG(
      `"${text.slice(0, 100)}" in ssh_config: the variable ${name} is not set.`,
    );
  });
}
