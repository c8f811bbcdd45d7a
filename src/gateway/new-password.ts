import type { InteractiveProof } from "#contract";

/** Asks for a new password in an exchange, twice; undefined when the two differ. */
export async function askNewPassword(
  proof: InteractiveProof,
  instruction: string,
): Promise<Uint8Array | undefined> {
  const prompts = ["New password: ", "New password again: "].map((text) => ({ text, echo: false }));
  const [first, second] = await proof.ask({ name: "", instruction, prompts });
  if (first === undefined || second === undefined || Buffer.compare(first, second) !== 0) return undefined;
  return first;
}
