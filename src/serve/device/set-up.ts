import type { Device } from "#contract";

/** What a device's own machine needs to come back: host name and port, and lines for known_hosts without names. */
export interface Gate {
  readonly host: string;
  readonly port: number;
  readonly hostKeys: () => readonly string[];
}

/** A unit for systemd that holds a device's tunnels, and the gateway's lines for known_hosts. Ready to be pasted on the device. */
export function setUpText(device: Device, gate: Gate, user: string): string {
  const place = gate.port === 22 ? gate.host : `[${gate.host}]:${gate.port}`;
  const forwards = device.ports.map((port) => `-R ${device.name}:${port}:localhost:${port}`).join(" ");
  // Once it is known, a token is of no more use.
  const login = user.replace(/^join\+.*$/, "device");
  return [
    `# ${device.name} is approved. /etc/systemd/system/postern-tunnel.service:`,
    "[Unit]",
    `Description=Tunnel to ${gate.host}`,
    "After=network-online.target",
    "Wants=network-online.target",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    `ExecStart=/usr/bin/ssh -N ${forwards} -p ${gate.port} -o ExitOnForwardFailure=yes -o ServerAliveInterval=10 -o ServerAliveCountMax=2 ${login}@${gate.host}`,
    "Restart=always",
    "RestartSec=5",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
    "# ~/.ssh/known_hosts of the account that runs it:",
    ...gate.hostKeys().map((key) => `# ${place} ${key}`),
    "",
  ].join("\n");
}
