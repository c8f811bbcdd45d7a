import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_TUNNEL_ELSEWHERE: {
    user: "The device cannot be reached now.",
    operator: "another worker holds the device's tunnel and could not open it",
  },
  OPERATOR_DEVICES_RESTART: {
    user: "The gateway is not set up correctly.",
    operator: "the section `devices` is new in the configuration; restart the gateway",
  },
  OPERATOR_DEVICES_ABSENT: {
    user: "The gateway is not set up correctly.",
    operator: "the configuration has no section `devices`; add `devices: {}`",
  },
  OPERATOR_FILE_UNREADABLE: {
    user: "The gateway is not set up correctly.",
    operator: "a file cannot be read",
  },
  OPERATOR_FILE_UNWRITABLE: {
    user: "The gateway is not set up correctly.",
    operator: "a file cannot be written",
  },
  OPERATOR_RULE_UNUSABLE: {
    user: "The gateway is not set up correctly.",
    operator: "a rule cannot be put to work",
  },
  OPERATOR_HOST_KEY_MISSING: {
    user: "The gateway is not set up correctly.",
    operator: "a host key file does not exist; make it with `postern key generate`",
  },
  OPERATOR_HOST_CERTIFICATE_UNUSABLE: {
    user: "The gateway is not set up correctly.",
    operator: "a host certificate cannot be used",
  },
  OPERATOR_CA_EXISTS: {
    user: "The gateway is not set up correctly.",
    operator: "the CA's key is there already; `postern ca rotate` makes a new one",
  },
  OPERATOR_CA_MISSING: {
    user: "The gateway is not set up correctly.",
    operator: "the CA has no such key; `postern ca init` makes one",
  },
  OPERATOR_CA_ROTATING: {
    user: "The gateway is not set up correctly.",
    operator:
      "a rotation of the CA's key is not finished; `postern ca rotate --finish` forgets the key of before",
  },
  OPERATOR_ACCOUNT_UNKNOWN: {
    user: "The gateway is not set up correctly.",
    operator: "the account or group to run as does not exist on this machine",
  },
  OPERATOR_PRIVILEGES_KEPT: {
    user: "The gateway is not set up correctly.",
    operator: "the privileges of root could not be dropped for good",
  },
  OPERATOR_CONTROL_TAKEN: {
    user: "The gateway is not set up correctly.",
    operator: "the control socket cannot be made; another gateway may be running with the same stateDir",
  },
  OPERATOR_CONTROL_REQUEST: {
    user: "The gateway is not set up correctly.",
    operator: "the gateway was asked for something that it does not understand",
  },
  OPERATOR_RELOAD_FAILED: {
    user: "The gateway is not set up correctly.",
    operator: "the new configuration cannot be used; the old one stays at work",
  },
  OPERATOR_WORKER_FAILED: {
    user: "The gateway is not set up correctly.",
    operator: "a worker process could not begin its work",
  },
  BUG_WORKER_SILENT: {
    user: "The gateway made an error; its log says more.",
    operator: "a worker process did not answer in time",
  },
  OPERATOR_TARGET_UNUSABLE: {
    user: "The gateway is misconfigured.",
    operator: "a target of the configuration cannot be used",
  },
} as const;

export const appErrors: ErrorTable<typeof rows> = defineErrors(rows);
