import * as z from "zod";

/** What config needs to know of a kind of login method or credential. */
interface KindShape<Config> {
  readonly kind: string;
  readonly summary: string;
  readonly schema: z.ZodType<Config>;
}

type ConfigOf<Kinds> = Kinds extends readonly KindShape<infer Config>[] ? Config : never;

/** One of the kinds, told apart by its key `kind`: the list of an adapter room as part of the configuration. */
export function kindUnion<const Kinds extends readonly [KindShape<unknown>, ...KindShape<unknown>[]]>(
  kinds: Kinds,
): z.ZodType<ConfigOf<Kinds>> {
  const [first, ...rest] = kinds.map(({ schema, summary }) => schema.describe(summary));
  // Each schema is a strict object with `kind` in it, by the contract of a kind; its type does not say so.
  const options = [first, ...rest] as unknown as [z.ZodObject<{ kind: z.ZodLiteral }>];
  return z.discriminatedUnion("kind", options) as unknown as z.ZodType<ConfigOf<Kinds>>;
}
