import { entryLimits } from "./entry-limits.ts";
import { keyLimits } from "./key-limits.ts";
import { sftpLimits } from "./sftp-limits.ts";
import { webLimits } from "./web-limits.ts";

/**
 * Limits that cannot be set: a constant in the code each, told here for docs/limits.md. `test/docs.test.ts` compares each with its
 * constant, and finds constants of the rooms that strangers reach which have no row.
 */
export interface FixedLimit {
  /** `room/file:constant` */
  readonly constant: string;
  readonly value: number;
  readonly unit: "bytes" | "count" | "ms";
  readonly about: string;
  readonly precedent: string;
}

export const fixedLimits: readonly FixedLimit[] = [
  ...keyLimits,
  {
    constant: "ssh/algorithms/packet-cipher:maxPacketBytes",
    value: 256 * 1024,
    unit: "bytes",
    about: "Length of one packet: no length above it is trusted, and nothing is allocated for it.",
    precedent: "OpenSSH PACKET_MAX_SIZE; RFC 4253, section 6.1 asks for 35,000 at least",
  },
  {
    constant: "ssh/transport/version:maxVersionLineBytes",
    value: 8192,
    unit: "bytes",
    about: "Length of the version line, and of each line before it.",
    precedent: "OpenSSH takes 8,192; RFC 4253, section 4.2 says 255",
  },
  {
    constant: "ssh/transport/negotiate:maxShownChars",
    value: 1000,
    unit: "count",
    about:
      "Characters of a peer's list of algorithms that are shown in the log and in a refusal; OpenSSH's longest has some 600.",
    precedent: "OpenSSH bounds what a peer can put in its log by MSGBUFSIZ, 1,024 bytes",
  },
  {
    constant: "ssh/transport/version:maxLinesBeforeVersion",
    value: 1024,
    unit: "count",
    about: "Lines that an upstream may send before its version line; a client may send none.",
    precedent: "OpenSSH SSH_MAX_PRE_BANNER_LINES",
  },
  {
    constant: "ssh/transport/framer:maxPacketsPerKeys",
    value: 0xffff_ffff,
    unit: "count",
    about: "Packets under one set of keys before the connection ends, should rekeying never finish.",
    precedent: "RFC 4344, section 3.1",
  },
  {
    constant: "ssh/transport/transport:maxQueuedDuringKexBytes",
    value: 512 * 1024,
    unit: "bytes",
    about: "Replies that wait for the end of a key exchange; bulk data never waits there.",
    precedent: "x/crypto/ssh lets 64 packets wait",
  },
  {
    constant: "ssh/messages/transport:maxExtensions",
    value: 64,
    unit: "count",
    about: "Extensions in one EXT_INFO.",
    precedent: "OpenSSH takes 1,024; RFC 8308 names four",
  },
  {
    constant: "ssh/messages/userauth:maxPrompts",
    value: 100,
    unit: "count",
    about: "Prompts in one round of keyboard-interactive.",
    precedent: "OpenSSH takes 100",
  },
  {
    constant: "ssh/userauth/server:maxUserNameBytes",
    value: 1024,
    unit: "bytes",
    about: "User name, a named target in it included.",
    precedent: "Linux LOGIN_NAME_MAX is 256; the rest is room for a target",
  },
  {
    constant: "ssh/userauth/server:maxServiceRequests",
    value: 64,
    unit: "count",
    about: "Service requests of one client before it has logged in.",
    precedent: "paramiko sends one before each attempt",
  },
  {
    constant: "auth/totp/spent-codes:freeWrongCodes",
    value: 5,
    unit: "count",
    about: "Wrong one-time codes in a row before their user must wait: 30 s, then twice as long each time.",
    precedent: "RFC 4226, section 7.3 asks for a bound; pam_google_authenticator takes 3 in 30 s",
  },
  {
    constant: "auth/totp/spent-codes:maxWaitMs",
    value: 3_600_000,
    unit: "ms",
    about: "The longest such wait.",
    precedent:
      "None; shorter, and codes could be guessed in years; longer, and a stranger could lock people out",
  },
  {
    constant: "auth/users/users-file:maxUsersFileBytes",
    value: 4 * 1024 * 1024,
    unit: "bytes",
    about: "The file of users, and the htpasswd file.",
    precedent: "None; some ten thousand people",
  },
  {
    constant: "ssh/userauth/client:maxBannerCharacters",
    value: 256 * 1024,
    unit: "count",
    about: "Characters of banner taken from one upstream.",
    precedent: "OpenSSH takes what fits in a packet, each time",
  },
  {
    constant: "ssh/userauth/client:maxRounds",
    value: 64,
    unit: "count",
    about: "Rounds of one keyboard-interactive exchange with an upstream.",
    precedent: "None in OpenSSH",
  },
  {
    constant: "ssh/agent/agent-client:maxAgentReplyBytes",
    value: 256 * 1024,
    unit: "bytes",
    about: "One reply of an ssh-agent.",
    precedent: "OpenSSH MAX_AGENT_REPLY_LEN",
  },
  {
    constant: "ssh/agent/messages:maxAgentIdentities",
    value: 2048,
    unit: "count",
    about: "Keys in the list of one ssh-agent.",
    precedent: "OpenSSH MAX_AGENT_IDENTITIES",
  },
  {
    constant: "gateway/router:maxUserNameChars",
    value: 256,
    unit: "count",
    about: "Characters of a user name that rules look at; a longer one matches none.",
    precedent: "Linux LOGIN_NAME_MAX",
  },
  ...entryLimits,
  {
    constant: "gateway/target-router:maxTargetNameChars",
    value: 253,
    unit: "count",
    about: "Length of a name by which a client asks for a target: a longer one stands for none.",
    precedent: "RFC 1035, section 2.3.4",
  },
  {
    constant: "gateway/upstream-login:maxUnread",
    value: 8,
    unit: "count",
    about: "Answers of an upstream's login that wait to be looked at.",
    precedent: "RFC 4252: the server speaks in turn, but for banners",
  },
  {
    constant: "gateway/acceptor:maxTold",
    value: 100,
    unit: "count",
    about: "Refused connections that are told why at the same time; more are dropped without a word.",
    precedent: "OpenSSH tells those refused by MaxStartups in one line as well",
  },
  {
    constant: "link/byte-stream:maxOwnBuffers",
    value: 16,
    unit: "count",
    about:
      "Spliced connections that move bulk data, each with a read buffer of its own (1 MiB); those beyond copy what they read.",
    precedent: "HAProxy has two buffers of 16 KiB for each connection",
  },
  {
    constant: "link/link:maxUnsentBytes",
    value: 4 * 1024 * 1024,
    unit: "bytes",
    about: "Our own replies waiting for a peer that does not read, before nothing more is read from it.",
    precedent: "OpenSSH stops reading channels at 64 MiB of output",
  },
  {
    constant: "link/link:lingerMs",
    value: 2000,
    unit: "ms",
    about: "Time a peer has to close, after it was sent the reason.",
    precedent: "None in OpenSSH, whose process ends",
  },
  {
    constant: "link/link:lastWordsMs",
    value: 30_000,
    unit: "ms",
    about: "Time a slow peer has to take what was still to be written when its session ended.",
    precedent: "nginx send_timeout is 60 s",
  },
  {
    constant: "pipe/ledger:maxUnansweredRequests",
    value: 4096,
    unit: "count",
    about: "Requests of one side, or with a policy of one channel, that wait for an answer.",
    precedent: "None in OpenSSH; each -R of a client is one",
  },
  ...sftpLimits,
  {
    constant: "gateway/file-way:fileWindowBytes",
    value: 2 * 1024 * 1024,
    unit: "bytes",
    about: "Bytes of one direction of an SFTP channel that may wait here, where files are read along.",
    precedent: "OpenSSH's window of a channel",
  },
  {
    constant: "gateway/session-taps:maxBinds",
    value: 4096,
    unit: "count",
    about: "Places where one client may have the upstream listen, in a session with a policy.",
    precedent: "OpenSSH takes any number",
  },
  {
    constant: "gateway/session-taps:maxDetailChars",
    value: 4096,
    unit: "count",
    about: "Characters of one text of a client's in a line of the audit.",
    precedent: "Linux audit cuts lines at about 8,000",
  },
  {
    constant: "gateway/waiting-client:maxHeldBytes",
    value: 1024 * 1024,
    unit: "bytes",
    about:
      "What a client that is in sends before it has an upstream; then it is left unread until it has one.",
    precedent: "None; OpenSSH sends 1 KB or so",
  },
  {
    constant: "gateway/client-channel:maxClientChannelBytes",
    value: 512 * 1024,
    unit: "bytes",
    about: "What a client may send unread from its agent.",
    precedent: "OpenSSH takes 256 KiB in one reply of an agent",
  },
  {
    constant: "gateway/front-session:maxReasonChars",
    value: 300,
    unit: "count",
    about: "Characters of why a stream was no good, in one line of log and audit.",
    precedent: "a line that can be read",
  },
  {
    constant: "gateway/client-channel:maxPacketBytes",
    value: 32 * 1024,
    unit: "bytes",
    about: "Data in one message from a client's agent.",
    precedent: "OpenSSH CHAN_SES_PACKET_DEFAULT",
  },
  {
    constant: "gateway/waiting-client:maxPacketBytes",
    value: 32 * 1024,
    unit: "bytes",
    about:
      "Data in one message in a session channel that the gateway confirmed; for an upstream that takes less they are cut.",
    precedent: "OpenSSH CHAN_SES_PACKET_DEFAULT",
  },
  {
    constant: "gateway/menu-entry:maxMenuIdleMs",
    value: 600_000,
    unit: "ms",
    about: "Time after which a menu that nobody touches is left.",
    precedent: "TMOUT of many a bastion's shell is 600",
  },
  {
    constant: "gateway/menu-entry:maxUnshownBytes",
    value: 256 * 1024,
    unit: "bytes",
    about: "What a menu has drawn and a terminal has not taken; what is drawn then is left out.",
    precedent: "None",
  },
  {
    constant: "gateway/gateway:maxDepth",
    value: 8,
    unit: "count",
    about: "Sessions within sessions of the gateway; a jump to a deeper one is refused.",
    precedent: "None; each costs its own SSH",
  },
  {
    constant: "gateway/gateway:maxInnerStartups",
    value: 10,
    unit: "count",
    about: "Clients within one session that have not logged in yet; more are refused.",
    precedent: "MaxStartups of OpenSSH begins to refuse at 10",
  },
  {
    constant: "gateway/passages:maxSaidChars",
    value: 256,
    unit: "count",
    about: "Characters of the name that a jump host's client asks for, in a line of the log or the audit.",
    precedent: "A name in DNS has 253 at most",
  },
  {
    constant: "serve/device/device:maxTunnels",
    value: 128,
    unit: "count",
    about: "Tunnels that one connection of a device may hold.",
    precedent: "twice the ports that a device can be approved for; OpenSSH has no limit",
  },
  {
    constant: "serve/device/device:maxRefused",
    value: 32,
    unit: "count",
    about: "Requests of one device's connection that are refused before it is dropped.",
    precedent: "none; a device that is set up rightly has none refused",
  },
  {
    constant: "serve/jump/command:maxCommandChars",
    value: 1024,
    unit: "count",
    about: "Characters of a command that a jump host looks at.",
    precedent: "A ProxyCommand has a hundred",
  },
  {
    constant: "serve/jump/menu:maxFilterChars",
    value: 64,
    unit: "count",
    about: "Characters that narrow the list of the menu.",
    precedent: "None",
  },
  {
    constant: "base/log-sink:maxWaitingBytes",
    value: 4 * 1024 * 1024,
    unit: "bytes",
    about: "Log lines waiting for a slow disk or reader; what comes then is lost and counted.",
    precedent: "rsyslog and journald bound and count in the same way",
  },
  {
    constant: "audit/syslog/stream:maxWaitingBytes",
    value: 4 * 1024 * 1024,
    unit: "bytes",
    about: "Audit messages waiting for a syslog server; what comes then is lost and counted.",
    precedent: "As above",
  },
  {
    constant: "pool/registry:maxPoolAddresses",
    value: 4096,
    unit: "count",
    about:
      "Addresses of one target that are remembered, where its pattern makes them of names that clients say.",
    precedent: "more than anybody has behind one rule; each costs some 200 bytes",
  },
  {
    constant: "pool/registry:maxPoolClients",
    value: 16_384,
    unit: "count",
    about:
      "Clients of one target that are remembered for `limits.perClient`; further ones are refused until a rate has filled up again.",
    precedent:
      "HAProxy's stick tables have a size that the operator gives, 1 million at most in its examples",
  },
  {
    constant: "pool/probe:maxProbeBytes",
    value: 8192,
    unit: "bytes",
    about: "What a host may say before its version line when it is checked.",
    precedent: "as maxVersionLineBytes",
  },
  {
    constant: "reach/reach:maxClientBuckets",
    value: 16_384,
    unit: "count",
    about: "Clients whose bandwidth is remembered after their last connection.",
    precedent: "as maxPoolClients",
  },
  ...webLimits,
];
