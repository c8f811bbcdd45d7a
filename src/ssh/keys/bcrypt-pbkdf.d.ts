/** The part of the package that is used here: bcrypt_pbkdf of OpenBSD. Returns non-zero for arguments that make no sense. */
declare module "bcrypt-pbkdf" {
  export function pbkdf(
    passphrase: Uint8Array,
    passphraseBytes: number,
    salt: Uint8Array,
    saltBytes: number,
    key: Uint8Array,
    keyBytes: number,
    rounds: number,
  ): number;
}
