/**
 * ssh: streams over a jump host.
 *
 * Law: opens channels over a connection that somebody else has made and logged in; knows no key and no password.
 */
export { JumpDialer, type JumpOptions, type JumpPorts, maxJumpChannels } from "./ssh.ts";
