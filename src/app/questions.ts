/** What was asked of another process, each by a number of its own, until the answer comes. */
export class Questions<Answer> {
  readonly #open = new Map<number, (answer: Answer) => void>();
  #last = 0;

  /** `send` sends it, with its number. */
  ask(send: (question: number) => void): Promise<Answer> {
    const question = ++this.#last;
    const answered = Promise.withResolvers<Answer>();
    this.#open.set(question, answered.resolve);
    send(question);
    return answered.promise;
  }

  answered(question: number, answer: Answer): void {
    this.#open.get(question)?.(answer);
    this.#open.delete(question);
  }

  /** One answer for all that are open. */
  answerAll(answer: Answer): void {
    for (const settle of this.#open.values()) settle(answer);
    this.#open.clear();
  }
}
