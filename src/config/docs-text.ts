import type { Blame } from "#base";

/** The parts of the generated pages that no schema knows. */

export const generatedBy = "*Made by `npm run docs` from the source: change it there.*";

export const configIntroduction = `One file in YAML 1.2 (so JSON will do as well), by default \`/etc/postern/postern.yaml\`. \`postern check -c FILE\` reads it as the
gateway would and names file, line and column of everything that is wrong; nothing starts with half a configuration. Editors that know
YAML's language server complete and check it with [config.schema.json](config.schema.json):

\`\`\`yaml
# yaml-language-server: $schema=./docs/config.schema.json
listen: ["0.0.0.0:22", "[::]:22"]
rules:
  - name: web
    match: { userPattern: "web(?<id>[0-9]+)" }
    login:
      - { kind: password, check: upstream }
    upstream:
      host: "web{id}.example.lan"
      credentials: [{ kind: client-password }]
      hostKey: { knownHosts: /etc/ssh/ssh_known_hosts }
\`\`\`

**Rules** are read from top to bottom and the first that matches wins, whatever comes after it. A rule without \`user\` and \`userPattern\`
matches every name: put it last. \`postern explain USER\` shows how a name is decided.

**Patterns** are matched against the whole user name. They have the syntax of RE2: matching takes linear time, so nobody can hang the
gateway by a name, and for that there is no look-around and no back-reference. Captures, \`(?<name>…)\` or by number, fill the places
\`{name}\` and \`{1}\` in \`upstream\` and in paths; \`{user}\` is the whole name. \`{{\` and \`}}\` are the braces themselves. A host that
consists of captures alone needs \`targets\`, the list of what the client may name.

**Targets** are places that clients name in other ways than by the user name: [entries.md](entries.md). Rules of \`mode: splice\` say who may
reach which; \`postern explain @NAME\` shows how such a name is decided.

**From outside:** \`\${env:NAME}\` in a value is an environment variable, \`\${file:/path}\` the text of a file, without the line end at its
end; \`$\${\` is \`\${\` itself. A missing variable or file is an error. Passwords and passphrases are never shown or logged.

**Several files:** \`include\` brings in more rules. Where it stands above \`rules\`, those rules come first, below it, last: the order is that of
reading. Included files hold \`rules\`, \`targets\` and \`include\` and nothing else; a circle is an error. Relative paths begin at the file in which they
stand. Anchors and aliases of YAML work within a file.

**A reload** (SIGHUP, \`postern reload\`) reads all files again. If anything is wrong, the old configuration stays at work and the log says why.
Live sessions keep the rules they began with.`;

export const limitsIntroduction = `Whatever a stranger can make grow has a limit with a name. Each can be set under \`limits\` in the
[configuration](config.md); durations take \`30s\`, \`5m\`, \`1h30m\`, sizes \`64KiB\`, \`2MiB\`. Limits on connections hold for all workers together.`;

/** How each form of value is written, by its name in the tables. */
export const forms: Readonly<Record<string, string>> = {
  address: "`host:port`, `[v6]:port`, `:port` for every address, `unix:/path`, `systemd` or `systemd:name`",
  duration: "seconds as a number, or `250ms`, `30s`, `5m`, `1h30m`, `2d`",
  moment: "`2026-12-31` (midnight UTC), or `2026-12-31T18:00:00+01:00`",
  network: "an address, or a range as `10.0.0.0/8` or `2001:db8::/32`",
  path: "absolute, or relative to the file in which it stands",
  "path template": "a path that may use captures; a capture cannot lead out of its place in the path",
  pattern: "a regular expression in RE2's syntax over the whole text",
  place:
    "an address or range as for networks, with or without a port: `192.0.2.1:2201`, `[2001:db8::1]:2201`, `:2201`",
  "public key": "one line: type, base64, and a comment if you like",
  secret: "text that is never shown; better as `${file:/path}` or `${env:NAME}`",
  size: "bytes as a whole number, or `64KiB`, `2MiB`, `1GB`",
  template: "text that may use captures: `{name}`, `{1}`, `{user}`",
};

export const blameTexts: Readonly<Record<Blame, string>> = {
  PEER: "The peer broke the protocol or sent garbage. It is disconnected with the reason that fits; the log says so at level info.",
  MISMATCH: "Both sides have no algorithm or feature in common.",
  DENIED: "A rule, a limit or a proof said no.",
  UPSTREAM:
    "The server behind the gateway cannot be reached, is not the one on record, or refused the login. The client is told in words.",
  OPERATOR:
    "Something in the configuration, or a file that it names, is wrong. Nothing starts, or the old configuration stays at work.",
  BUG: "The gateway's own code broke a promise. Please report it, with the stack from the log.",
};
