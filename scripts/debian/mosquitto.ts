import { unpackedPrograms } from './unpacked.js';

/** The MQTT broker and its clients that an example is tested with. */
export const mosquitto = unpackedPrograms(
  'mosquitto',
  ['mosquitto', 'mosquitto-clients'],
  ['/usr/sbin/mosquitto', '/usr/bin/mosquitto_pub'],
);

/** `node scripts/run.js debian/mosquitto` prints its folder. */
export async function main(): Promise<void> {
  process.stdout.write(`${await mosquitto.make()}\n`);
}
