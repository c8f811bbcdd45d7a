import type { FixedLimit } from "./fixed-limits.ts";

/** Limits of what comes before a login: names of targets, and the protocols that bring them. */
export const entryLimits: readonly FixedLimit[] = [
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
    about: "Request line and headers of a request together; what is longer is answered with 431.",
    precedent: "Node's own default",
  },
  {
    constant: "entry/reception/first-ignore:maxIgnorePacketBytes",
    value: 4096,
    unit: "bytes",
    about: "The SSH_MSG_IGNORE behind a version line in the form of HTTP, which holds the name of a target.",
    precedent: "None: nobody else reads it",
  },
  {
    constant: "entry/reception/websocket:maxWebSocketMessageBytes",
    value: 1024 * 1024,
    unit: "bytes",
    about: "One message of a client's on a WebSocket; what is longer ends it with code 1009.",
    precedent: "Python's websockets takes 1 MiB, the library ws 100 MiB",
  },
  {
    constant: "entry/reception/http-host:maxPipelined",
    value: 32,
    unit: "count",
    about:
      "Requests of one connection that wait for the answers to those before them; with more it is closed.",
    precedent: "None in nginx, which reads them one by one; browsers send none",
  },
  {
    constant: "entry/ssh/ssh:maxEarly",
    value: 64,
    unit: "count",
    about: "Connections taken in while a listener is made but not yet at work.",
    precedent: "A listening socket's backlog",
  },
  {
    constant: "entry/ssh/bind:maxWaiting",
    value: 4096,
    unit: "count",
    about:
      "Connections that the kernel keeps for a listener until they are taken in; net.core.somaxconn bounds it too.",
    precedent: "Linux lets a listener have 4,096, OpenSSH asks for 128, nginx for 511",
  },
];
