/**
 * tunnel: the central authority over devices, and their live tunnels.
 *
 * Law: decides who may be a device and what it may offer, and knows who is there now. It speaks no SSH and touches no socket: the
 * device's server feeds it, the dialer draws on it. A name is a key's, whether its device is there or not.
 */
export type { CertificatePlan } from "./certificates.ts";
export { deviceName, isDeviceName } from "./name.ts";
export { Elsewhere, type OpenElsewhere } from "./elsewhere.ts";
export { Enrolment, type EnrolmentOptions, type EnrolmentPlan } from "./enrolment.ts";
export { type Decision, Office } from "./office.ts";
export { Operator } from "./operator.ts";
export { TunnelRegistry, type RegistryOptions } from "./registry.ts";
