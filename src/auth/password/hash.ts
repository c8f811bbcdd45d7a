import { argon2, createHash, randomBytes, type ScryptOptions, scrypt, timingSafeEqual } from "node:crypto";
import { bcryptMatches } from "./bcrypt.ts";
import { passwordErrors } from "./errors.ts";

/**
 * Password hashes as text, each with its own cost inside:
 *
 *     $scrypt$ln=15,r=8,p=3$SALT$HASH             the form of passlib; N is 2^ln
 *     $argon2id$v=19$m=65536,t=3,p=4$SALT$HASH    the PHC string format; m in KiB (argon2i and argon2d too)
 *     $2b$12$SALTHASH                             bcrypt, also $2a$ and $2y$
 *
 * SALT and HASH are base64 without padding. All of them are computed off the event loop.
 */
export interface PasswordHash {
  readonly scheme: "scrypt" | "argon2" | "bcrypt" | "plain";
  /** Costs the same whether the password is right or not. */
  matches(password: Uint8Array): Promise<boolean>;
}

/** OWASP's cheat sheet for password storage names this among its equal choices; 32 MiB a login, so that many at once do no harm. */
const scryptDefault = { ln: 15, r: 8, p: 3 } as const;

/** A hash from a file may not ask for more: a login must not take the machine's memory. */
const maxMemoryBytes = 512 * 1024 * 1024;
const maxPasses = 64;
const maxLanes = 64;
const saltBytes = 16;
const hashBytes = 32;

/** Throws OPERATOR_PASSWORD_HASH_INVALID, whose text never repeats the hash. */
export function parsePasswordHash(text: string): PasswordHash {
  if (text.startsWith("$scrypt$")) return parseScrypt(text);
  if (text.startsWith("$argon2")) return parseArgon2(text);
  if (/^\$2[aby]\$(?:0[4-9]|1[0-6])\$[./A-Za-z0-9]{53}$/.test(text)) {
    return { scheme: "bcrypt", matches: (password) => bcryptMatches(password, text) };
  }
  throw new passwordErrors.OPERATOR_PASSWORD_HASH_INVALID();
}

/** A password kept in plain text: only for what was imported from such a file. */
export function plainPassword(text: string): PasswordHash {
  const digest = createHash("sha256").update(text, "utf8").digest();
  return {
    scheme: "plain",
    matches: async (password) => timingSafeEqual(createHash("sha256").update(password).digest(), digest),
  };
}

/** A new hash for the configuration file, by scrypt. */
export async function hashPassword(password: Uint8Array | string): Promise<string> {
  const { ln, r, p } = scryptDefault;
  const salt = randomBytes(saltBytes);
  const hash = await deriveScrypt(asBytes(password), salt, hashBytes, 2 ** ln, r, p);
  return `$scrypt$ln=${ln},r=${r},p=${p}$${unpadded(salt)}$${unpadded(hash)}`;
}

function parseScrypt(text: string): PasswordHash {
  const match =
    /^\$scrypt\$ln=([0-9]{1,2}),r=([0-9]{1,2}),p=([0-9]{1,2})\$([A-Za-z0-9+/]{2,172})\$([A-Za-z0-9+/]{22,172})$/.exec(
      text,
    );
  if (match === null) throw new passwordErrors.OPERATOR_PASSWORD_HASH_INVALID("$scrypt$ is malformed");
  const [, ln = "", r = "", p = "", salt64 = "", hash64 = ""] = match;
  const cost = 2 ** Number(ln);
  const blockSize = Number(r);
  const parallel = Number(p);
  if (
    cost < 2 ||
    blockSize < 1 ||
    parallel < 1 ||
    parallel > maxLanes ||
    128 * cost * blockSize > maxMemoryBytes
  ) {
    throw new passwordErrors.OPERATOR_PASSWORD_HASH_INVALID("the cost of a $scrypt$ hash is out of bounds");
  }
  const salt = Buffer.from(salt64, "base64");
  const hash = Buffer.from(hash64, "base64");
  return {
    scheme: "scrypt",
    matches: async (password) =>
      timingSafeEqual(await deriveScrypt(password, salt, hash.length, cost, blockSize, parallel), hash),
  };
}

function parseArgon2(text: string): PasswordHash {
  const match =
    /^\$(argon2id|argon2i|argon2d)\$v=19\$m=([0-9]{1,8}),t=([0-9]{1,3}),p=([0-9]{1,3})\$([A-Za-z0-9+/]{11,86})\$([A-Za-z0-9+/]{16,172})$/.exec(
      text,
    );
  if (match === null) throw new passwordErrors.OPERATOR_PASSWORD_HASH_INVALID("$argon2…$ is malformed");
  const [, kind = "", m = "", t = "", p = "", salt64 = "", hash64 = ""] = match;
  const memory = Number(m);
  const passes = Number(t);
  const parallelism = Number(p);
  const inBounds =
    parallelism >= 1 &&
    parallelism <= maxLanes &&
    passes >= 1 &&
    passes <= maxPasses &&
    memory >= 8 * parallelism &&
    memory * 1024 <= maxMemoryBytes;
  if (!inBounds) {
    throw new passwordErrors.OPERATOR_PASSWORD_HASH_INVALID("the cost of an $argon2…$ hash is out of bounds");
  }
  if (typeof argon2 !== "function") {
    throw new passwordErrors.OPERATOR_PASSWORD_HASH_INVALID("this Node has no argon2: use 24.7 or newer");
  }
  const nonce = Buffer.from(salt64, "base64");
  const hash = Buffer.from(hash64, "base64");
  const algorithm = kind as "argon2id" | "argon2i" | "argon2d";
  return {
    scheme: "argon2",
    matches: (password) =>
      new Promise((resolve, reject) => {
        const parameters = { message: password, nonce, parallelism, tagLength: hash.length, memory, passes };
        argon2(algorithm, parameters, (error, derived) => {
          if (error === null) resolve(timingSafeEqual(derived, hash));
          else reject(error);
        });
      }),
  };
}

function deriveScrypt(
  password: Uint8Array,
  salt: Uint8Array,
  length: number,
  cost: number,
  blockSize: number,
  parallelization: number,
): Promise<Buffer> {
  // OpenSSL counts more than the block itself against maxmem; half as much again is ample.
  const maxmem = 128 * cost * blockSize * 1.5 + 1024 * 1024 * parallelization;
  const options: ScryptOptions = { N: cost, r: blockSize, p: parallelization, maxmem };
  return new Promise((resolve, reject) => {
    scrypt(password, salt, length, options, (error, derived) => {
      if (error === null) resolve(derived);
      else reject(error);
    });
  });
}

function asBytes(text: Uint8Array | string): Uint8Array {
  return typeof text === "string" ? Buffer.from(text, "utf8") : text;
}

function unpadded(bytes: Buffer): string {
  return bytes.toString("base64").replace(/=+$/, "");
}
