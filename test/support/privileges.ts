/** Options for a test that only root can run. */
export const needsRoot = process.getuid?.() === 0 ? {} : { skip: 'only root can do this: run the tests as root' };
