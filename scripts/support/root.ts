import { fileURLToPath } from 'node:url';

/** The repository's top folder, so that a script works whatever folder it was started in. No slash at its end. */
export const root = fileURLToPath(new URL('../../..', import.meta.url)).replace(/\/$/, '');
