/**
 * In which order a host takes the two paths of SYMLINK: `openssh`, what the link says first; `draft`, the link first
 * (draft-ietf-secsh-filexfer-02, section 6.10). `unknown`: a link made there could be made where nobody has looked.
 */
export type SymlinkOrder = "openssh" | "draft" | "unknown";

/** Hosts that keep OpenSSH's order (PROTOCOL of OpenSSH, section 4.1), whoever asks; dropbear has OpenSSH's own program. */
const asOpenSsh =
  /^SSH-[^-]+-(?:OpenSSH|dropbear|paramiko|mod_sftp|APACHE-SSHD|SSHD-CORE|SFTPGo|Go(?:$|[ _]))/;

/** Hosts that keep OpenSSH's order with clients that call themselves so, and the draft's with all others. */
const byClient = /^SSH-[^-]+-(?:AsyncSSH|ssh2js)/;

/** By the version line of the host, and by ours to it. */
export function symlinkOrder(host: string, ours: string): SymlinkOrder {
  if (asOpenSsh.test(host)) return "openssh";
  if (!byClient.test(host)) return "unknown";
  return /^SSH-[^-]+-OpenSSH/.test(ours) ? "openssh" : "draft";
}
