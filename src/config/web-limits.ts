import type { FixedLimit } from "./fixed-limits.ts";

/** Of devices' web pages. */
export const webLimits: readonly FixedLimit[] = [
  {
    constant: "acme/office:maxWaitingOrders",
    value: 50,
    unit: "count",
    about: "Certificates that wait to be ordered; for more names, handshakes are refused until one is there.",
    precedent: "None: orders are made one after the other, and take seconds",
  },
  {
    constant: "http-proxy/front:maxRequestHeadBytes",
    value: 32 * 1024,
    unit: "bytes",
    about: "Request line and fields of a browser's request together; what is longer is answered with 431.",
    precedent: "nginx takes 4 × 8 KiB",
  },
  {
    constant: "http-proxy/visitor:maxPipelined",
    value: 32,
    unit: "count",
    about: "Requests of one connection of HTTP/1.1 that came before those ahead of them were answered.",
    precedent: "as of entry host; browsers send none",
  },
  {
    constant: "http-proxy/front:maxStreams",
    value: 100,
    unit: "count",
    about: "Requests of one connection of HTTP/2 at once.",
    precedent: "RFC 9113, section 6.5.2 says no less than 100; nginx takes 128",
  },
  {
    constant: "http-proxy/exchange:maxAnswerHeadBytes",
    value: 64 * 1024,
    unit: "bytes",
    about: "Status line and fields of a device's answer; what is longer is answered with 502.",
    precedent: "curl takes 300 KiB, nginx 4 or 8 KiB",
  },
  {
    constant: "http-proxy/gate:maxFormBytes",
    value: 8192,
    unit: "bytes",
    about: "The login page's form; what is longer is answered with 413.",
    precedent: "None: a name and a password",
  },
  {
    constant: "http-proxy/ticket:maxTicketChars",
    value: 2048,
    unit: "bytes",
    about: "The cookie of a login; what is longer is not looked at.",
    precedent: "browsers keep 4,096 bytes of a cookie",
  },
  {
    constant: "http-proxy/attempts:maxWaitingLogins",
    value: 8,
    unit: "count",
    about:
      "Passwords of one network (IPv4 address, or IPv6 /64) that wait to be judged one after the other; more are answered with 429.",
    precedent: "OpenSSH takes 6 on one connection",
  },
  {
    constant: "http-proxy/attempts:maxKnownLogins",
    value: 1000,
    unit: "count",
    about:
      "Logins by HTTP Basic that are remembered for half a minute, so that each request costs no new hash.",
    precedent: "None; each costs some 200 bytes",
  },
  {
    constant: "admin/desk:maxApiBodyBytes",
    value: 64 * 1024,
    unit: "bytes",
    about: "What a program sends with a request to the devices' API; what is longer is answered with 413.",
    precedent: "None: the longest that fits is some 6 KiB",
  },
  {
    constant: "admin/desk:maxApiRequests",
    value: 32,
    unit: "count",
    about: "Requests to the devices' API at once, of all tokens together; more are answered with 503.",
    precedent: "None: each is done in milliseconds",
  },
  {
    constant: "admin/desk:maxSaidChars",
    value: 100,
    unit: "count",
    about: "Characters of a path's device, as a program said it, in the log and the audit.",
    precedent: "None: names have 63",
  },
  {
    constant: "admin/tokens:maxHeaderChars",
    value: 256,
    unit: "count",
    about: "Length of the field `Authorization`; a longer one is not looked at.",
    precedent: "None: ours have 51",
  },
  {
    constant: "admin/acts:maxListed",
    value: 500,
    unit: "count",
    about: "Devices in one answer; the rest is asked for by `after`.",
    precedent: "GitHub gives 100, Kubernetes' clients ask for 500",
  },
  {
    constant: "admin/acts:maxLookedAt",
    value: 5000,
    unit: "count",
    about: "Devices that are looked at for one answer, where few of them fit what was asked for.",
    precedent: "None: some 50 ms",
  },
  {
    constant: "http-proxy/sign-in/sign-ins:maxWaitingSignIns",
    value: 1000,
    unit: "count",
    about:
      "Logins by SSH that wait, each with a code, for somebody at a browser; more are told to try later.",
    precedent: "limits.startups lets 100 wait by default",
  },
  {
    constant: "http-proxy/sign-in/sign-ins:maxVisitsPerCode",
    value: 5,
    unit: "count",
    about: "How often one code can be entered; then it is as good as unknown.",
    precedent: "None: people change browsers once or twice",
  },
  {
    constant: "http-proxy/sign-in/tries:maxWrongCodes",
    value: 30,
    unit: "count",
    about:
      "Codes that nobody was shown, of one network (IPv4 address, or IPv6 /64) in ten minutes; then no code of its is looked at (429).",
    precedent: "RFC 8628, section 5.1 asks for a bound; a code has some 34 bits",
  },
  {
    constant: "http-proxy/sign-in/tries:maxCountedNetworks",
    value: 10_000,
    unit: "count",
    about: "Networks whose wrong codes are counted; the oldest is forgotten first.",
    precedent: "None; each costs some 100 bytes",
  },
  {
    constant: "http-proxy/sign-in/sign-ins:maxBrowsers",
    value: 10_000,
    unit: "count",
    about:
      "Browsers in the midst of a sign-in, at each of its steps; the oldest of the network with the most makes room.",
    precedent: "None; each costs some 2 KiB",
  },
  {
    constant: "http-proxy/sign-in/sign-ins:maxBrowsersPerNetwork",
    value: 300,
    unit: "count",
    about: "The same of one network: a flood drives out its own, and nobody else's.",
    precedent: "None: an office behind one address",
  },
  {
    constant: "http-proxy/sign-in/steps:maxFinishing",
    value: 100,
    unit: "count",
    about: "Browsers that are back, for which the provider is being asked; more are answered with 503.",
    precedent: "None: each takes a few questions of some milliseconds",
  },
];
