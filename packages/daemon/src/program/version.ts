/** As `--version` and GetInfo tell it. */
export const VERSION = '0.1.0';
