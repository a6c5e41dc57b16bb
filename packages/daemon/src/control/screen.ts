/* What terminals are told by. console_codes(4) */

/** Empties the screen, and goes to its first line. */
export const clearScreen = '\x1b[H\x1b[2J';

/** Goes to the first line; what is there is written over, so that nothing flickers. */
export const toTop = '\x1b[H';

/** Empties the rest of a line. */
export const clearLine = '\x1b[K';

/** Empties all below. */
export const clearBelow = '\x1b[J';

/** Another screen, without a cursor, and back to the one before. */
export const otherScreen = '\x1b[?1049h\x1b[?25l';
export const formerScreen = '\x1b[?25h\x1b[?1049l';
