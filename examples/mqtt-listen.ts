/**
 * Prints a line for each message of some topics of an MQTT broker.
 *
 *     node examples/dist/mqtt-listen.js --broker=tcp:localhost:1883 --topic=sensors/# [--topic=…] [--qos=1] [--keep-alive=SECONDS]
 *
 * The source is one of its own, by `loop.source`. mqtt-listen/README.md has more.
 */
import { isUtf8 } from 'node:buffer';
import { parseArgs } from 'node:util';
import { EventLoop, exitOnSignal } from '@sdrx/event';
import { merge, tap } from 'rxjs';
import { brokerAddress, SocketConnection } from './mqtt-listen/connection.js';
import { mqtt } from './mqtt-listen/mqtt.js';
import type { MqttMessage } from './mqtt-listen/packets.js';

/** As JSON, so that a message is one line whatever is in it. */
function describe({ topic, payload, retain }: MqttMessage): string {
  const content = isUtf8(payload) ? { payload: `${payload}` } : { base64: payload.toString('base64') };
  return JSON.stringify({ topic, ...content, retain });
}

try {
  const { values } = parseArgs({
    options: {
      broker: { type: 'string', default: 'tcp:localhost:1883' },
      topic: { type: 'string', multiple: true, default: [] },
      qos: { type: 'string', default: '0' },
      'keep-alive': { type: 'string', default: '60' },
    },
  });
  if (values.qos !== '0' && values.qos !== '1') throw new TypeError(`--qos=${values.qos} must be 0 or 1`);
  const address = await brokerAddress(values.broker);
  const loop = new EventLoop();
  const messages = mqtt(loop, () => new SocketConnection(address), {
    topics: values.topic,
    qos: values.qos === '0' ? 0 : 1,
    keepAlive: Number(values['keep-alive']) * 1000,
  }).pipe(tap((message) => console.log(describe(message))));
  process.exitCode = await loop.run(merge(exitOnSignal(loop), messages));
} catch (error) {
  console.error(`mqtt-listen: ${error instanceof Error ? error.message : error}`);
  process.exitCode = 1;
}
