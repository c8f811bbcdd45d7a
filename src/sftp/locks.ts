/** One request, from its first look at a path until its answer. */
interface Holder {
  /** With a slash at its end. */
  readonly root: string;
  readonly alone: boolean;
  granted: (() => void) | undefined;
  before: Holder | undefined;
  behind: Holder | undefined;
  gone: boolean;
}

/** Those that hold and, behind them, those that wait, in the order in which they came. */
interface Line {
  first: Holder | undefined;
  last: Holder | undefined;
}

interface Watcher {
  readonly root: string;
  readonly changing: () => void;
}

/**
 * Keeps requests that could change where a path leads (rename, links) apart from those that have looked at a path and are about to
 * use it, in all sessions of this process that reach the same tree. In the order in which they came.
 */
export class PathLocks {
  /** Of each upstream, who wants to know when paths may come to lead elsewhere. */
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** Of each upstream. Links from one to the next: mostly there is one, which comes and goes. */
  readonly #byPlace = new Map<string, Line>();

  /**
   * `root` bounds what is touched: roots of which neither lies in the other have nothing to do with each other. `granted` may be
   * called at once. Returns what gives it back, or gives up waiting.
   */
  acquire(place: string, root: string, alone: boolean, granted: () => void): () => void {
    let line = this.#byPlace.get(place);
    if (line === undefined) this.#byPlace.set(place, (line = { first: undefined, last: undefined }));
    const holder: Holder = {
      root: withSlash(root),
      alone,
      granted,
      before: line.last,
      behind: undefined,
      gone: false,
    };
    if (alone)
      holder.granted = () => {
        this.#tell(place, holder);
        granted();
      };
    if (line.last === undefined) line.first = holder;
    else line.last.behind = holder;
    line.last = holder;
    if (isFree(holder)) grant(holder);
    return () => this.#release(place, line, holder);
  }

  /**
   * `changing` is called before and after anybody is alone in a tree that this one has to do with: what was found out about it
   * before is not to be relied on any more. Returns what ends that.
   */
  watch(place: string, root: string, changing: () => void): () => void {
    const watchers = this.#watchers.get(place) ?? new Set();
    this.#watchers.set(place, watchers);
    const watcher: Watcher = { root: withSlash(root), changing };
    watchers.add(watcher);
    return () => {
      watchers.delete(watcher);
      if (watchers.size > 0 || this.#watchers.get(place) !== watchers) return;
      this.#watchers.delete(place);
      if (this.#byPlace.get(place)?.first === undefined) this.#byPlace.delete(place);
    };
  }

  #release(place: string, line: Line, holder: Holder): void {
    if (holder.gone) return;
    holder.gone = true;
    const { before, behind } = holder;
    if (before === undefined) line.first = behind;
    else before.behind = behind;
    if (behind === undefined) line.last = before;
    else behind.before = before;
    if (holder.alone && holder.granted === undefined) this.#tell(place, holder);
    if (line.first !== undefined) this.#next(line);
    // A place that somebody watches has somebody back soon.
    else if (!this.#watchers.has(place) && this.#byPlace.get(place) === line) this.#byPlace.delete(place);
  }

  #tell(place: string, by: Holder): void {
    for (const { root, changing } of this.#watchers.get(place) ?? []) if (nested(root, by.root)) changing();
  }

  #next({ first }: Line): void {
    const ready: Holder[] = [];
    for (let holder = first; holder !== undefined; holder = holder.behind)
      if (holder.granted !== undefined && isFree(holder)) ready.push(holder);
    for (const holder of ready) if (!holder.gone) grant(holder);
  }
}

/** Whether nobody before it holds, or waits for, what it must not be together with. */
function isFree(holder: Holder): boolean {
  for (let other = holder.before; other !== undefined; other = other.before)
    if (conflict(holder, other)) return false;
  return true;
}

function grant(holder: Holder): void {
  const { granted } = holder;
  holder.granted = undefined;
  granted?.();
}

function conflict(one: Holder, other: Holder): boolean {
  if (!one.alone && !other.alone) return false;
  return nested(one.root, other.root);
}

function nested(one: string, other: string): boolean {
  return one.startsWith(other) || other.startsWith(one);
}

function withSlash(root: string): string {
  return `${root === "/" ? "" : root}/`;
}
