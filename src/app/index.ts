/**
 * app: the program: where parts meet, start, change and stop.
 *
 * Law: the one room that knows all others. It composes, and decides nothing about a session.
 */
import { finishRotation, initAuthority, rotateAuthority, showAuthority, signHostKeys } from "./authority.ts";
import { callbacks } from "./callbacks.ts";
import { check } from "./check.ts";
import { demo } from "./demo.ts";
import { DeviceDesk } from "./device-desk.ts";
import { deviceSetUp } from "./device-set-up.ts";
import { explain, explainName } from "./explain.ts";
import { serve } from "./serve.ts";
import { changeUserIn, forgiveUser, listUsers } from "./user-work.ts";

export {
  type AuthorityKey,
  type AuthorityKind,
  type AuthorityLine,
  type HostCertificateRequest,
  type SignedHostKey,
} from "./authority.ts";
export { type Callback, callbacks } from "./callbacks.ts";
export { check } from "./check.ts";
export { type Composed, compose, type ComposePorts } from "./compose.ts";
export type { ControlReply, ControlRequest } from "./control.ts";
export { type DemoOptions, demo } from "./demo.ts";
export type { DeviceDesk } from "./device-desk.ts";
export { appErrors } from "./errors.ts";
export {
  type ExplainedUser,
  explain,
  explainName,
  type ExplainNameQuery,
  type ExplainQuery,
} from "./explain.ts";
export { Files } from "./files.ts";
export type { Reloaded, ReloadOutcome, Running } from "./running.ts";
export { serve, type ServeOptions } from "./serve.ts";
export type { Status } from "./status-text.ts";
export { notifyManager } from "./systemd.ts";

/** What can be done with the CA's key. */
export interface AuthorityWork {
  readonly init: typeof initAuthority;
  readonly show: typeof showAuthority;
  readonly rotate: typeof rotateAuthority;
  readonly finishRotation: typeof finishRotation;
  readonly signHostKeys: typeof signHostKeys;
}

const authority: AuthorityWork = {
  init: initAuthority,
  show: showAuthority,
  rotate: rotateAuthority,
  finishRotation,
  signHostKeys,
};

/** What can be done with users. */
export interface UserWork {
  readonly change: typeof changeUserIn;
  readonly list: typeof listUsers;
  readonly forgive: typeof forgiveUser;
}

const users: UserWork = { change: changeUserIn, list: listUsers, forgive: forgiveUser };

/** What the commands need of the program. */
export interface App {
  readonly authority: AuthorityWork;
  readonly users: UserWork;
  /** What operators do about devices. Throws OPERATOR_ errors. */
  readonly openDevices: typeof DeviceDesk.open;
  readonly deviceSetUp: typeof deviceSetUp;
  readonly serve: typeof serve;
  readonly demo: typeof demo;
  readonly check: typeof check;
  readonly callbacks: typeof callbacks;
  readonly explain: typeof explain;
  readonly explainName: typeof explainName;
}

export const app: App = {
  authority,
  users,
  openDevices: (config, held) => DeviceDesk.open(config, held),
  deviceSetUp,
  serve,
  demo,
  check,
  callbacks,
  explain,
  explainName,
};
