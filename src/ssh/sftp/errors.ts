import { defineErrors, type ErrorTable } from "#base";

const rows = {
  PEER_SFTP_PACKET_SIZE: {
    user: "The other side sent an SFTP packet of a size that is not allowed.",
    operator: "an SFTP packet was empty, or longer than may be",
  },
  PEER_SFTP_VERSION: {
    user: "The other side does not speak version 3 of SFTP.",
    operator: "a peer speaks another version of SFTP than 3, where a rule needs it read",
  },
  PEER_SFTP_ORDER: {
    user: "The other side sent an SFTP packet that was not due.",
    operator: "an SFTP packet was not due: a reply to nothing, an identifier in use, a second beginning",
  },
} as const;

export const sftpErrors: ErrorTable<typeof rows> = defineErrors(rows);
