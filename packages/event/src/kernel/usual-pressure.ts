/** How long tasks must have waited for memory to tell it, in milliseconds, where nothing else is said. */
export const USUAL_THRESHOLD = 200;
/** Within what time they must have waited so long, in milliseconds. */
export const USUAL_WINDOW = 2000;
