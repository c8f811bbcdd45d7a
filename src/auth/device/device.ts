import type {
  AuthContext,
  AuthKind,
  AuthPorts,
  DeviceAuthority,
  DeviceSubject,
  KeyProof,
  Proof,
  Verdict,
} from "#contract";
import {
  certificateOptions,
  checkCertificate,
  fingerprint,
  formatPublicKey,
  missingPresence,
  parsePublicKeyLine,
} from "#ssh/keys";
import * as z from "zod";
import { deviceErrors } from "./errors.ts";

export interface DeviceLoginConfig {
  readonly kind: "device";
  readonly authorities?: readonly string[] | undefined;
}

const schema: z.ZodType<DeviceLoginConfig> = z.strictObject({
  kind: z.literal("device"),
  authorities: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe(
      "Public keys of authorities whose user certificates make a key a device at once: a principal is the device's name.",
    ),
});

/** Captures by which a new device says more than its key: the rule's pattern has a group `token`. */
const tokenCapture = "token";
/** The same for a name, for those whose requests have none: `-R 0:localhost:22 device+kiosk7@gate`. */
const nameCapture = "name";

/** A key that is an approved device's, or that may become one. */
export const device: AuthKind<DeviceLoginConfig> = {
  kind: "device",
  summary:
    "The key of a device, as the authority over devices has it; a new key waits for an operator, or shows a token or certificate.",
  schema,
  create: (config, ports) => {
    const { devices } = ports;
    if (devices === undefined) throw new deviceErrors.OPERATOR_NO_DEVICES();
    const authorities = (config.authorities ?? []).map((line) => parsePublicKeyLine(line).key.blob);
    return Promise.resolve({
      kind: "device",
      methods: ["publickey"],
      defers: false,
      givesPassword: false,
      attempt: (proof, context) => attempt(proof, context, { ...ports, devices, authorities }),
      [Symbol.asyncDispose]: () => Promise.resolve(),
    });
  },
};

interface Parts extends Pick<AuthPorts, "revocation"> {
  readonly devices: DeviceAuthority;
  readonly authorities: readonly Uint8Array[];
}

async function attempt(proof: Proof, context: AuthContext, parts: Parts): Promise<Verdict> {
  if (proof.method !== "publickey") return { kind: "denied", reason: "no key was shown" };
  // Nobody learns which keys are devices' without having them; and nothing is noted for a key that was only named.
  if (!proof.proven) return { kind: "undecided" };
  if (context.pretended) return { kind: "denied", reason: "the name leads nowhere" };
  const names = namesIn(proof, context, parts);
  const unfit = (await parts.revocation?.reasonAgainst(proof.key)) ?? missingFrom(proof, names);
  if (unfit !== undefined) return { kind: "denied", reason: unfit };
  const plain = "key" in proof.key ? proof.key.key : proof.key;
  const newcomer = {
    fingerprint: fingerprint(plain.blob),
    key: formatPublicKey(plain.blob),
    from: context.from.text,
  };
  const token = context.captures[tokenCapture];
  const standing = await parts.devices.standing(newcomer, {
    ...(token === undefined || token === "" ? {} : { token }),
    ...(names === undefined ? {} : { names }),
  });
  if (standing.kind === "refused") return { kind: "denied", reason: standing.reason };
  const notice = noticeOf(standing);
  const wished = context.captures[nameCapture];
  return {
    kind: "accepted",
    by: newcomer.fingerprint,
    device: { newcomer, standing, ...(wished === undefined || wished === "" ? {} : { wished }) },
    ...(notice === undefined ? {} : { notice }),
  };
}

/** Principals of a certificate that a trusted authority has signed. */
function namesIn(
  { key }: KeyProof,
  { from, nowMs }: AuthContext,
  { authorities }: Parts,
): readonly string[] | undefined {
  // What a certificate forces upon its holder is no device.
  if (!("key" in key) || authorities.length === 0 || key.criticalOptions.has("force-command"))
    return undefined;
  const refusals = key.principals.map((principal) =>
    checkCertificate(key, {
      kind: "user",
      principal,
      nowSeconds: Math.floor(nowMs / 1000),
      authorities,
      ...(from.ip === undefined ? {} : { sourceAddress: from.ip }),
    }),
  );
  return key.principals.filter((_, n) => refusals[n] === undefined);
}

/** What a security key was to do and did not: a touch, unless a trusted certificate lets it off. */
function missingFrom(
  { key, touched = false, verified = false }: KeyProof,
  names: readonly string[] | undefined,
): string | undefined {
  const { application } = "key" in key ? key.key : key;
  if (application === undefined) return undefined;
  const certified = "key" in key ? certificateOptions(key) : undefined;
  const trusted = names !== undefined && names.length > 0;
  return missingPresence(
    { valid: true, touched, verified },
    {
      touchRequired: !trusted || (certified?.touchRequired ?? true),
      verifyRequired: certified?.verifyRequired ?? false,
    },
  );
}

/** Told before the login succeeds, where every client shows it. */
function noticeOf(standing: DeviceSubject["standing"]): string | undefined {
  if (standing.kind === "device" || standing.admission.by !== "pending") return undefined;
  const { code } = standing.admission;
  return `This device is not approved yet. Its code is ${code}; the operator types: postern device approve ${code}`;
}
