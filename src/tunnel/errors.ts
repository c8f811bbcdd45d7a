import { defineErrors, type ErrorTable } from "#base";

const rows = {
  UPSTREAM_DEVICE_OFFLINE: {
    user: "That device is not connected now.",
    operator: "a device was asked for that holds no tunnel now",
  },
  OPERATOR_DEVICE_UNKNOWN: {
    user: "There is no such device.",
    operator: "no device has this name, code or id",
  },
  OPERATOR_DEVICE_NAME: {
    user: "A device cannot have that name.",
    operator:
      "a device's name is 1 to 63 letters, digits, '-', '_' and '.', begins and ends with a letter or digit, and is no address; certificate and renewal are words of the gateway's",
  },
  OPERATOR_DEVICE_NAME_TAKEN: {
    user: "Another device has that name.",
    operator: "another approved device has this name; rename or revoke it first",
  },
  OPERATOR_DEVICE_CODE: {
    user: "Say the device's code.",
    operator: "a device that waits is approved by its code or id: anybody can ask for a name",
  },
  OPERATOR_DEVICE_GRANT: {
    user: "That cannot be given to a device.",
    operator: "that cannot be given to a device",
  },
  OPERATOR_DEVICE_STATE: {
    user: "The device is not in a state in which that can be done.",
    operator: "the device is not in a state in which this can be done",
  },
} as const;

export const tunnelErrors: ErrorTable<typeof rows> = defineErrors(rows);
