import type { Policy } from "#contract";

/** A policy that allows nothing at all, for tests that name what they allow. */
export const nothingAllowed: Policy = {
  shell: false,
  exec: false,
  sftp: false,
  scp: false,
  subsystems: false,
  forwardLocal: false,
  forwardRemote: false,
  x11: false,
  agent: false,
  pty: false,
  env: false,
  other: false,
  tellUpstream: false,
};
