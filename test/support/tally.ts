/** A reporter for the test runner that writes one line of JSON: how many tests passed, failed, were skipped. */
export interface Tally {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

interface RunnerEvent {
  readonly type: string;
  readonly data?: {
    readonly file?: string;
    readonly counts?: Readonly<Record<"passed" | "failed" | "cancelled" | "skipped" | "todo", number>>;
  };
}

export async function* tally(source: AsyncIterable<RunnerEvent>): AsyncGenerator<string, void> {
  let total: Tally | undefined;
  for await (const { type, data } of source) {
    // One summary per file, then one for the whole run, which has no file.
    if (type !== "test:summary" || data?.counts === undefined || data.file !== undefined) continue;
    const { passed, failed, cancelled, skipped, todo } = data.counts;
    total = { passed, failed: failed + cancelled, skipped: skipped + todo };
  }
  yield JSON.stringify(total ?? { passed: 0, failed: 1, skipped: 0 });
}

// The runner takes a reporter only so.
// oxlint-disable-next-line import/no-default-export
export default tally;
