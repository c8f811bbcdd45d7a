import type { Device } from "#contract";

type Known = Pick<Device, "name" | "ports" | "key">;

/** What a device's own machine needs to come back: host name and port, and lines for known_hosts without names. */
export interface Gate {
  readonly host: string;
  readonly port: number;
  readonly hostKeys: () => readonly string[];
}

export interface SetUp {
  readonly gate: Gate;
  /** As whom the device has logged in. */
  readonly user: string;
  /** How long certificates hold; undefined: none are given. */
  readonly certificateSeconds: number | undefined;
}

/** A unit for systemd that holds a device's tunnels, and the gateway's lines for known_hosts. Ready to be pasted on the device. */
export function setUpText(device: Known, { gate, user, certificateSeconds }: SetUp): string {
  const place = gate.port === 22 ? gate.host : `[${gate.host}]:${gate.port}`;
  const forwards = device.ports.map((port) => `-R ${device.name}:${port}:localhost:${port}`).join(" ");
  const login = loginAt(gate, user);
  const certificates =
    certificateSeconds === undefined
      ? []
      : [
          "# A certificate with its name, and a unit that fetches the next one in time:",
          `#   ssh ${login} certificate > ~/.ssh/${certificateFile(device)}`,
          `#   ssh ${login} renewal > /etc/systemd/system/postern-certificate.service`,
        ];
  return [
    `# ${device.name} is approved. /etc/systemd/system/postern-tunnel.service:`,
    "[Unit]",
    `Description=Tunnel to ${gate.host}`,
    ...unitHead,
    "",
    "[Service]",
    `ExecStart=/usr/bin/ssh -N ${forwards} -o ExitOnForwardFailure=yes -o ServerAliveInterval=10 -o ServerAliveCountMax=2 ${login}`,
    "Restart=always",
    "RestartSec=5",
    "",
    ...unitEnd,
    "# ~/.ssh/known_hosts of the account that runs it:",
    ...gate.hostKeys().map((key) => `# ${place} ${key}`),
    ...certificates,
    "",
  ].join("\n");
}

/** A unit that fetches the device's certificate at each third of its life: one that cannot be had once is no harm. */
export function renewalText(device: Known, { gate, user, certificateSeconds = 0 }: SetUp): string {
  const file = certificateFile(device);
  const fetch = `/usr/bin/ssh -o BatchMode=yes ${loginAt(gate, user)} certificate > .${file}.new && mv .${file}.new ${file}`;
  return [
    "# /etc/systemd/system/postern-certificate.service:",
    "[Unit]",
    `Description=Certificate of ${device.name} by ${gate.host}`,
    ...unitHead,
    "",
    "[Service]",
    "WorkingDirectory=%h/.ssh",
    `ExecStart=/bin/sh -c '${fetch}'`,
    "Restart=always",
    `RestartSec=${Math.max(1, Math.floor(certificateSeconds / 3))}`,
    "",
    ...unitEnd,
  ].join("\n");
}

const unitHead = ["After=network-online.target", "Wants=network-online.target", "StartLimitIntervalSec=0"];
const unitEnd = ["[Install]", "WantedBy=multi-user.target", ""];

function loginAt({ host, port }: Gate, user: string): string {
  // Once it is known, a token is of no more use.
  return `-p ${port} ${user.replace(/^join\+.*$/, "device")}@${host}`;
}

/** Beside the key that ssh takes by itself. */
function certificateFile({ key }: Known): string {
  const [type = ""] = key.split(" ", 1);
  const kind = type.includes("ed25519") ? "ed25519" : type.includes("ecdsa") ? "ecdsa" : "rsa";
  return `id_${kind}${type.startsWith("sk-") ? "_sk" : ""}-cert.pub`;
}
