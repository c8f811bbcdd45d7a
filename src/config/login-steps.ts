import * as z from "zod";

/** The key `require` of a rule: kinds of its `login`, each once; those of one inner list are choices. */
export type RequiredKinds = readonly (readonly string[])[];

const kind = z.string().min(1);

export const requireSchema: z.ZodType<RequiredKinds> = z
  .array(z.union([kind, z.array(kind).min(1)]))
  .min(1)
  .transform((steps) => steps.map((step) => (typeof step === "string" ? [step] : step)))
  .describe(
    "Kinds of `login` that are all due, in this order. A list in it is a choice: [[publickey, password], totp]. Without require, any one of `login` suffices.",
  )
  .meta({ examples: [["publickey", "totp"]] });

/** What is listed under `login`, as the steps that are due. */
export function loginSteps<Method>(
  login: readonly Method[],
  kindOf: (method: Method) => string,
  required: RequiredKinds | undefined,
): readonly (readonly Method[])[] {
  if (required === undefined) return [login];
  return required.map((kinds) => login.filter((method) => kinds.includes(kindOf(method))));
}

/** What is wrong with a rule's steps, if something is: the key it is about, and a sentence. */
export function faultInSteps(
  login: readonly { readonly kind: string }[],
  required: RequiredKinds | undefined,
): { readonly key: "login" | "require"; readonly message: string } | undefined {
  const listed = [...new Set(login.map((each) => each.kind))];
  const named = required?.flat() ?? listed;
  const unknown = named.find((each) => !listed.includes(each));
  if (unknown !== undefined)
    return { key: "require", message: `"${unknown}" is no kind listed under login; there ${are(listed)}` };
  const twice = named.find((each, at) => named.indexOf(each) !== at);
  if (twice !== undefined)
    return { key: "require", message: `names "${twice}" twice; each kind can prove one step` };
  const unused = listed.find((each) => !named.includes(each));
  if (unused !== undefined)
    return {
      key: "require",
      message: `does not name "${unused}", which is listed under login: name it, or take it out`,
    };
  if ((required?.length ?? 1) === 1 && named.includes("totp")) {
    const message =
      "a code alone would do: list what is to be proven before it, and say require: [publickey, totp]";
    return { key: required === undefined ? "login" : "require", message };
  }
  return undefined;
}

function are(kinds: readonly string[]): string {
  return kinds.length === 1 ? `is ${kinds[0]}` : `are ${kinds.join(", ")}`;
}
