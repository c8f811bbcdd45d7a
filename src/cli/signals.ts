import type { CliContext } from "./context.ts";

/** Calls back at any of these signals, which then do not end the process, until disposed of. */
export function onSignals(
  { onSignal }: CliContext,
  signals: readonly NodeJS.Signals[],
  then: () => void,
): Disposable {
  const stack = new DisposableStack();
  for (const signal of signals) {
    const handle = onSignal?.(signal, then);
    if (handle !== undefined) stack.use(handle);
  }
  return stack;
}
