import { curve25519Method } from "./curve25519.ts";
import { dhMethod, rfc3526Group } from "./dh.ts";
import { ecdhMethod } from "./ecdh.ts";
import { groupExchangeSha256 } from "./gex.ts";
import type { GroupExchange, KexMethod } from "./kex-method.ts";
import { hasMlKem, mlKem768X25519 } from "./mlkem.ts";

const rows: readonly KexMethod[] = [
  // Absent, and so not offered, where Node has no ML-KEM.
  ...(hasMlKem ? [mlKem768X25519] : []),
  curve25519Method("curve25519-sha256"),
  curve25519Method("curve25519-sha256@libssh.org"),
  ecdhMethod("ecdh-sha2-nistp256", "P-256", "sha256"),
  ecdhMethod("ecdh-sha2-nistp384", "P-384", "sha384"),
  ecdhMethod("ecdh-sha2-nistp521", "P-521", "sha512"),
  dhMethod("diffie-hellman-group14-sha256", "sha256", rfc3526Group(14)),
  dhMethod("diffie-hellman-group16-sha512", "sha512", rfc3526Group(16)),
  dhMethod("diffie-hellman-group18-sha512", "sha512", rfc3526Group(18)),
];

/** The key exchange methods whose group is known from the name. */
export const kexMethods: ReadonlyMap<string, KexMethod> = new Map(rows.map((row) => [row.name, row]));

/** The methods that agree on a group first. */
export const groupExchanges: ReadonlyMap<string, GroupExchange> = new Map([
  [groupExchangeSha256.name, groupExchangeSha256],
]);
