/** Does one step of several; what it threw, if anything. */
export function attempt(step: () => void): unknown[] {
  try {
    step();
    return [];
  } catch (error) {
    return [error];
  }
}
