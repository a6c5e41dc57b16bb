import { setup } from './setup.js';

/** `npm run build` */
export async function main(): Promise<void> {
  await setup();
}
