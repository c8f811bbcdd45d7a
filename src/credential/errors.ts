import { defineErrors, type ErrorTable } from "#base";

const rows = {
  OPERATOR_CREDENTIAL_FILE_MISSING: {
    user: "The gateway is not set up correctly.",
    operator: "the private key file of a credential does not exist",
  },
  DENIED_CERTIFICATE_PRINCIPAL: {
    user: "Your user name cannot stand in a certificate, which the server behind this gateway asks for.",
    operator: "the principals of a rule give no name that can stand in a certificate",
  },
  OPERATOR_AGENT_UNREACHABLE: {
    user: "The gateway cannot reach the agent that holds its key. Tell its administrator.",
    operator: "there is no ssh-agent at the socket, or it may not be used",
  },
  OPERATOR_AGENT_SILENT: {
    user: "The agent that holds the gateway's key does not answer. Tell its administrator.",
    operator: "an ssh-agent did not answer in time",
  },
  OPERATOR_AGENT_BROKEN: {
    user: "The agent that holds the gateway's key does not work as it should. Tell its administrator.",
    operator: "what answers at the socket of an ssh-agent answers nonsense",
  },
  OPERATOR_AGENT_REFUSED: {
    user: "The agent that holds the gateway's key refused to use it. Tell its administrator.",
    operator: "an ssh-agent refused what it was asked: it may be locked, or somebody did not confirm",
  },
  OPERATOR_AGENT_KEY_MISSING: {
    user: "The agent that holds the gateway's key does not have it any more. Tell its administrator.",
    operator: "the ssh-agent does not hold the key that the configuration names",
  },
} as const;

export const credentialErrors: ErrorTable<typeof rows> = defineErrors(rows);
