import { template } from "#base";
import type { Policy } from "#contract";
import * as z from "zod";
import { withoutAbsent } from "./absent.ts";

const flag = (about: string): z.ZodType<boolean> => z.boolean().default(false).describe(about);

function patterns(
  one: z.ZodType<string>,
  about: string,
  example: readonly string[],
): z.ZodType<boolean | readonly string[]> {
  return z
    .union([z.boolean(), z.array(one).min(1)], { error: "expected true, false or a list of patterns" })
    .default(false)
    .describe(about)
    .meta({ "x-form": "true, false, or list of patterns", examples: [example] });
}

const text = z.string().min(1);
const place = text.regex(/^(?:\*|\/.*|(?:\[[^\]]+\]|[^:[\]/]+):(?:\*|[0-9]{1,5}(?:-[0-9]{1,5})?))$/, {
  error:
    "expected host:port, [v6]:port, host:* (any port), host:8000-8099, a path that begins with /, or * for anywhere",
});
const variable = /^[A-Za-z_][A-Za-z0-9_]*$/;

/** Names of templates in `setEnv`, besides those of the rule. */
export const policyNames = ["from"] as const;

export const policySchema: z.ZodType<Policy> = z
  .strictObject({
    shell: flag("A shell."),
    exec: patterns(
      text,
      "Commands: patterns over the whole command. Where a shell would act upon a sign (;&|<>$`() and line ends), the pattern must have the same sign: * and ? never stand for one.",
      ["git-upload-pack *"],
    ),
    sftp: flag("The subsystem sftp."),
    scp: flag(
      "Copying with scp: the commands of its old protocol, and the subsystem sftp, which it uses today.",
    ),
    subsystems: patterns(text, "Subsystems besides sftp, by name.", ["netconf"]),
    forwardLocal: patterns(
      place,
      "Where connections may go through the upstream (ssh -L, -D, -W, -J): host:port as the client names it, or a path; * alone is anywhere.",
      ["db.example.lan:5432"],
    ),
    forwardRemote: patterns(
      place,
      "Where the upstream may listen for the client (ssh -R): host:port as the client names it, or a path; * alone is anywhere.",
      ["localhost:8000-8099"],
    ),
    x11: flag("Forwarding of X11."),
    agent: flag("Forwarding of the client's agent."),
    pty: flag("A terminal."),
    env: patterns(text, "Environment variables that the client may send, by name.", ["LANG", "LC_*"]),
    other: flag("Requests and channels that are not known here, and tunnels (ssh -w)."),
    forcedCommand: text
      .optional()
      .describe(
        "Runs at the upstream in place of whatever the client asks for (shell, command or subsystem), which the upstream is told as SSH_ORIGINAL_COMMAND, if it accepts that variable. internal-sftp is the subsystem sftp.",
      ),
    setEnv: z
      .record(z.string().regex(variable, { error: "expected a variable's name" }), template)
      .optional()
      .describe(
        "Environment for the upstream, which must accept it (sshd's AcceptEnv). Values may use {user}, {from} (the client's address) and captures.",
      )
      .meta({ "x-form": "map of templates", examples: [{ GIT_USER: "{user}" }] }),
    tellUpstream: flag(
      "Tells the upstream who is there: POSTERN_USER, _CLIENT, _SESSION, _RULE, _METHOD and _PROOF. What the client sends under such names is refused.",
    ),
  })
  .superRefine((policy, ctx) => {
    if (policy.forcedCommand === undefined) return;
    for (const key of ["shell", "exec", "sftp", "scp", "subsystems"] as const) {
      if (policy[key] === false) continue;
      const message = "stands beside forcedCommand, which runs in place of it; leave it out";
      ctx.addIssue({ code: "custom", path: [key], message });
    }
  })
  .transform(withoutAbsent);
