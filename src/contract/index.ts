/**
 * contract: the nouns and ports of the product.
 *
 * Law: types, no behaviour. The gateway's story is written in these words, and every adapter (entry point, login method,
 * credential, dialer) is known to it by these interfaces alone.
 */
export type { Arrival, PeerAddress } from "./arrival.ts";
export type { Auditor, AuditKind, AuditPorts, AuditSink } from "./audit-sink.ts";
export type {
  AuthContext,
  AuthKind,
  AuthMethod,
  AuthPorts,
  InteractiveProof,
  KeyProof,
  LoginDirection,
  LoginSetting,
  LoginStep,
  PasswordProof,
  Proof,
  UpstreamFiles,
  Verdict,
} from "./auth-method.ts";
export type {
  ClientAgent,
  ClientExchange,
  Credential,
  CredentialContext,
  CredentialKind,
  CredentialPorts,
  LoginWay,
  UpstreamBinding,
} from "./credential.ts";
export type { Destination } from "./destination.ts";
export type {
  Dialer,
  DialerKind,
  DialerPorts,
  DialOptions,
  HopKind,
  HopPorts,
  SshConnector,
} from "./dialer.ts";
export type { EntryKind, EntryPoint, EntryPorts, PassedSocket } from "./entry-point.ts";
export {
  auditCommonFields,
  type AuditEvent,
  type AuditEventName,
  type AuditEventRow,
  auditEvents,
  type AuditRecord,
  type FileAction,
} from "./events.ts";
export type { FileAppender, FileRead, FileReader, FileUpdater, Kind } from "./kind.ts";
export type { Policy, Restrictions } from "./policy.ts";
export type {
  AddressReport,
  Allowance,
  Balance,
  CheckPlan,
  LimitName,
  PoolAnswer,
  PoolPlan,
  PoolQuestion,
  Pools,
} from "./pool.ts";
export type { Principal } from "./principal.ts";
export type { Asker, Reach, Reached, ReachOptions, ReachPlace } from "./reach.ts";
export type { Revocation } from "./revocation.ts";
export type {
  AddressPlan,
  CertificateMatch,
  HostKeyPolicy,
  MountRoute,
  Route,
  Rule,
  RuleMatch,
  ServePlan,
  UpstreamPlan,
} from "./route.ts";
export type {
  FilesChannel,
  FilesDesk,
  FilesEnd,
  FilesServer,
  JumpDesk,
  JumpJoined,
  JumpOpened,
  HostKeyNews,
  JumpQuestion,
  JumpServer,
  ListedTarget,
  Menu,
  MenuOutcome,
  MenuStep,
  MenuTerminal,
  ServedSession,
  Server,
  ServerPorts,
} from "./server.ts";
export type { MountRecord, SessionEnd, SessionPhase, SessionRecord } from "./session.ts";
export type {
  BrowserLogin,
  Identity,
  OpenSignIn,
  SignInDesk,
  SignInProvider,
  SignInVisit,
  SignInWants,
  SignInWays,
  WaitingLogin,
} from "./sign-in.ts";
export { type FileRight, fileRights, type MountPlan, type SftpPlan } from "./sftp-plan.ts";
export type {
  NameEntry,
  SpliceMatch,
  SpliceRoute,
  SpliceRule,
  Target,
  TargetQuery,
  WantedProof,
} from "./target.ts";
export type {
  AcmePlan,
  CertificateFiles,
  CertificatePair,
  DevicePort,
  EntryName,
  ListenPlan,
  OrderedCertificates,
  Received,
  Reception,
  ReceptionDesk,
  ShownLogin,
  TargetQuestion,
  TargetRefusal,
  TlsPlan,
} from "./reception.ts";
export type { TotpSecret, User, UserDirectory } from "./users.ts";
export type {
  Admission,
  Binding,
  Certified,
  Along,
  ChangeResult,
  Device,
  DeviceAuthority,
  DeviceLogEntry,
  DeviceState,
  DeviceStore,
  DeviceSubject,
  InsertResult,
  Joined,
  JoinToken,
  Newcomer,
  NewcomerProof,
  Sight,
  Standing,
} from "./device.ts";
export type {
  DeviceGrant,
  DeviceLogReport,
  DeviceOffice,
  DeviceReport,
  HeldTunnel,
  NewJoinToken,
  SeenDevice,
  TokenReport,
} from "./office.ts";
export type {
  DeviceConnection,
  TunnelLease,
  TunnelListing,
  TunnelNews,
  TunnelOrigin,
  TunnelRequest,
  Tunnels,
} from "./tunnel.ts";
export type {
  ProgramAnswer,
  ProgramDesk,
  ProgramRequest,
  WebAnswer,
  WebClient,
  WebDesk,
  WebFront,
  WebProof,
  WebQuestion,
} from "./web.ts";
