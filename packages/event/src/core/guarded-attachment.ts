import type { Attachment } from './attachment.js';

/** What a source of a user's own returned. What it throws when it is told something ends that source, as its error. */
export class GuardedAttachment<T> implements Attachment<T> {
  readonly #attachment: Attachment<T> | undefined;
  readonly #fail: (error: unknown) => void;

  /** @param attachment undefined where somebody who writes JavaScript returns nothing */
  constructor(attachment: Attachment<T> | undefined, fail: (error: unknown) => void) {
    this.#attachment = attachment;
    this.#fail = fail;
  }

  detach(): void {
    this.#attachment?.detach?.();
  }

  dispatched(value: T): void {
    try {
      this.#attachment?.dispatched?.(value);
    } catch (error) {
      this.#fail(error);
    }
  }

  online(on: boolean): void {
    try {
      this.#attachment?.online?.(on);
    } catch (error) {
      this.#fail(error);
    }
  }
}
