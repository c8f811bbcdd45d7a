import { methodsOf } from "./login-progress.ts";
import type { Router } from "./router.ts";

/** Methods named to a client when no rule offers any: it must look like any other gateway. */
const methodsOfNobody = ["publickey", "password"];

/** How every login may begin: the same for everybody, so that a name that is not known looks like one that is. */
export function offeredMethods(router: Router): readonly string[] {
  const methods = methodsOf(router.rules.flatMap(({ login }) => login[0] ?? []));
  return methods.length === 0 ? methodsOfNobody : methods;
}
