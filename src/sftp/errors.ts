import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_SFTP_ROOT: {
    user: "The folder of this login cannot be reached on the host behind the gateway.",
    operator: "the root of a rule's sftp cannot be used at the upstream",
  },
  DENIED_SFTP_ROOT: {
    user: "Your name stands for no folder here.",
    operator:
      "a user name cannot stand in the root of a rule's sftp: it is empty, or has a slash or dots alone",
  },
  BUG_SFTP_MOUNT: {
    user: "The gateway failed, and has noted why.",
    operator: "a mount's host could not be reached because of a fault of ours",
  },
} as const;

export const sftpRoomErrors: ErrorTable<typeof rows> = defineErrors(rows);
