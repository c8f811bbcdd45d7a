import type { AgentConfig } from "./schema.ts";
import { defaultStateDir } from "./schema.ts";

export interface InstallOptions {
  /** Path of the configuration, as the unit names it. */
  readonly configFile: string;
  /** Path of the program, likewise. */
  readonly program: string;
  /** Account that it runs as. */
  readonly user: string;
}

export interface InstalledFile {
  readonly path: string;
  readonly text: string;
}

/** Files that make a service of the agent. Those of root need no account and no rule of polkit. */
export function installPlan(config: AgentConfig, options: InstallOptions): readonly InstalledFile[] {
  const restart = config.service?.restart ?? [];
  const root = options.user === "root";
  return [
    { path: "/etc/systemd/system/postern-agent.service", text: unitText(config, options) },
    ...(root
      ? []
      : [
          {
            path: "/etc/sysusers.d/postern-agent.conf",
            text: `u ${options.user} - "Postern device agent" ${defaultStateDir}\n`,
          },
        ]),
    ...(root || restart.length === 0
      ? []
      : [{ path: "/etc/polkit-1/rules.d/60-postern-agent.rules", text: polkitText(options.user, restart) }]),
  ];
}

/** For ExecStart= and the like (systemd.syntax(7)): blanks, quotes and specifiers stand for themselves. */
function word(text: string): string {
  const plain = text.replaceAll("%", "%%").replaceAll("$", "$$$$");
  return /^[A-Za-z0-9/._%$@:+-]+$/.test(plain) ? plain : `"${plain.replace(/[\\"]/g, "\\$&")}"`;
}

function unitText(config: AgentConfig, { configFile, program, user }: InstallOptions): string {
  const outside = config.stateDir === defaultStateDir ? [] : [`ReadWritePaths=${word(config.stateDir)}`];
  const account =
    user === "root"
      ? []
      : [
          `User=${user}`,
          `Group=${user}`,
          // To read the journal of the units in "logs".
          ...((config.service?.logs.length ?? 0) > 0 ? ["SupplementaryGroups=systemd-journal"] : []),
        ];
  return [
    "# Written by postern agent install.",
    "[Unit]",
    "Description=Postern device agent",
    "After=network-online.target",
    "Wants=network-online.target",
    "StartLimitIntervalSec=0",
    "",
    "[Service]",
    "# It tells how it is by systemd-notify, a process of its own.",
    "Type=notify",
    "NotifyAccess=all",
    `ExecStart=${word(program)} agent -c ${word(configFile)}`,
    "ExecReload=/bin/kill -HUP $MAINPID",
    "WatchdogSec=180",
    "Restart=always",
    "RestartSec=5",
    "# 78: the file is wrong, and will be no better in five seconds (EX_CONFIG).",
    "RestartPreventExitStatus=78",
    "TimeoutStopSec=20",
    ...account,
    "UMask=0077",
    "# The key, and the token of the service on board.",
    "StateDirectory=postern-agent",
    "StateDirectoryMode=0700",
    ...outside,
    "StandardOutput=journal",
    "StandardError=journal",
    "SyslogIdentifier=postern-agent",
    "",
    "# Hardening. Not set: MemoryDenyWriteExecute, as Node compiles JavaScript at run time.",
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "ProtectHome=yes",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    "ProtectClock=yes",
    "ProtectControlGroups=yes",
    "ProtectHostname=yes",
    "ProtectKernelLogs=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelTunables=yes",
    "ProtectProc=invisible",
    "RemoveIPC=yes",
    "# UNIX sockets: systemctl speaks to systemd by one. Netlink: name resolution asks which address families there are.",
    "RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
    "RestrictNamespaces=yes",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallFilter=~@privileged @keyring @aio",
    "SystemCallErrorNumber=EPERM",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
    "",
  ].join("\n");
}

/** The account may restart these units, and do nothing else that root does. */
function polkitText(user: string, units: readonly string[]): string {
  return [
    "// Written by postern agent install.",
    "polkit.addRule(function (action, subject) {",
    `  var units = ${JSON.stringify(units)};`,
    '  if (action.id == "org.freedesktop.systemd1.manage-units" &&',
    `      subject.user == ${JSON.stringify(user)} &&`,
    '      action.lookup("verb") == "restart" &&',
    '      units.indexOf(action.lookup("unit")) >= 0) {',
    "    return polkit.Result.YES;",
    "  }",
    "});",
    "",
  ].join("\n");
}
