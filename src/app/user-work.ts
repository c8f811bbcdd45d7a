import { changeUser, SpentCodes, type UserChange, Users, type UsersConfig } from "#auth";
import { silentLog, systemClock } from "#base";
import type { User } from "#contract";
import { Files } from "./files.ts";

/** Changes one user in a file of users, which is replaced as a whole. Throws OPERATOR_ errors; then it is as it was. */
export async function changeUserIn(file: string, name: string, change: UserChange): Promise<void> {
  await new Files(systemClock).update(file, (text) => changeUser(text, name, change));
}

/** Everybody who is listed anywhere, by name. Throws OPERATOR_ errors. */
export async function listUsers(config: UsersConfig): Promise<readonly User[]> {
  const ports = { files: new Files(systemClock), log: silentLog, secret: new Uint8Array() };
  return await new Users(config, ports).all();
}

/** Lets a user try codes again at once, who gave too many wrong ones. */
export async function forgiveUser(stateDir: string, name: string): Promise<void> {
  await new SpentCodes(new Files(systemClock), stateDir).forgive(name);
}
