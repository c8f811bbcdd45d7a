import type { AuthPorts, User } from "#contract";

/** Ports of a login method that has neither users nor anything to remember. */
export const noUsers: Pick<AuthPorts, "users" | "updates" | "stateDir"> = {
  users: { find: async () => ({ user: undefined, standIn: undefined }) },
  updates: {
    update: async () => {
      throw new Error("nothing is to be remembered");
    },
  },
  stateDir: "/nowhere",
};

/** These users; the first stands in for everybody who is not among them. */
export function usersPort(...users: readonly User[]): AuthPorts["users"] {
  return {
    find: async (name) => ({ user: users.find((user) => user.name === name), standIn: users[0] }),
  };
}

/** Files that are replaced as wholes, in memory. */
export function updatesIn(files: Map<string, string>): AuthPorts["updates"] {
  return {
    update: async (path, change) => {
      const text = change(files.get(path) ?? "");
      if (text !== undefined) files.set(path, text);
    },
  };
}
