/** What a kind of source holds for one subscription. */
export interface Attachment<T> {
  /** Frees it all, at the end of the subscription, before what the source was told to `use`. */
  detach?(): void;
  /** Comes after each dispatch of a value, also when the observer threw or unsubscribed. */
  dispatched?(value: T): void;
  /** The rate limit begins (false) or ceases (true) to hold the source back. */
  online?(on: boolean): void;
}
