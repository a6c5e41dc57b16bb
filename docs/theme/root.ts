import { fileURLToPath } from 'node:url';

/** The repository's top folder, as seen from docs/dist/theme. */
export const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
