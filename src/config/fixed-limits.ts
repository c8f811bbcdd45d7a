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
  {
    constant: "entry/proxy-protocol/header:maxVersion1Bytes",
    value: 107,
    unit: "bytes",
    about: "A PROXY protocol header of version 1.",
    precedent: "proxy-protocol.txt, section 2.1",
  },
  {
    constant: "entry/proxy-protocol/header:maxProxyHeaderBytes",
    value: 4096,
    unit: "bytes",
    about: "A PROXY protocol header of version 2, with what follows the addresses.",
    precedent: "HAProxy takes as much as one read brings",
  },
  {
    constant: "entry/reception/first-bytes:maxFirstBytes",
    value: 24,
    unit: "bytes",
    about: "How a protocol begins, where a listener takes several.",
    precedent: "the longest method of HTTP has 17 letters",
  },
  {
    constant: "entry/reception/version-name:maxNamedLineBytes",
    value: 8192,
    unit: "bytes",
    about: "A version line that is looked through for the name of a target.",
    precedent: "as for any version line",
  },
  {
    constant: "entry/reception/client-hello:maxClientHelloBytes",
    value: 16 * 1024,
    unit: "bytes",
    about: "A TLS client's hello, which is looked through for the name of a target.",
    precedent: "one record of TLS; clients send 2 KiB with post-quantum key shares",
  },
  {
    constant: "entry/reception/client-hello:maxHelloRecords",
    value: 16,
    unit: "count",
    about: "Records over which that hello may be spread.",
    precedent: "clients send one or two",
  },
  {
    constant: "entry/reception/http:maxHttpHeadBytes",
    value: 16 * 1024,
    unit: "bytes",
    about: "Request line and headers of a CONNECT together; what is longer is answered with 431.",
    precedent: "Node's own default",
  },
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
    constant: "entry/ssh/ssh:maxEarly",
    value: 64,
    unit: "count",
    about: "Connections taken in while a listener is made but not yet at work.",
    precedent: "A listening socket's backlog",
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
];
