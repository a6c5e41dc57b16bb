/** What cannot be text: NUL, which ends a message and every C string, and half of a surrogate pair, which is no UTF-8. */
export const NO_TEXT = /[\0\p{Cs}]/u;
