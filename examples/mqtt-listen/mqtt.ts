import type { EventLoop, SourceOptions } from '@sdrx/event';
import { checkNumber, EPOLLIN, EPOLLOUT } from '@sdrx/linux';
import type { Observable } from 'rxjs';
import type { Connection } from './connection.js';
import { PacketReader } from './packet-reader.js';
import { connect, MqttError, type MqttMessage, type Packet, pingreq, puback, subscribe } from './packets.js';

export interface MqttOptions extends SourceOptions {
  /** Filters of topics, such as `sensors/+/temperature` and `#`; at least one. */
  readonly topics: readonly string[];
  /** Whether each message comes at most once (0, the default) or at least once (1). */
  readonly qos?: 0 | 1;
  /** How long the broker may say nothing, in milliseconds from a second to 65,535; 60,000 by default. */
  readonly keepAlive?: number;
  /** How long a packet of the broker's may be, in bytes; 1 MiB by default. */
  readonly limit?: number;
}

/**
 * What is published of some topics. MQTT 3.1.1. A message that comes at least once is acknowledged when it was dispatched.
 * @param open connects with the broker, at each subscription
 *
 * Throws TypeError and RangeError for topics or times that can't be. Fails with MqttError when the broker refuses, goes, says
 * nothing or breaks the protocol, and with what the socket fails with.
 */
export function mqtt(
  loop: EventLoop,
  open: () => Connection,
  { topics, qos = 0, keepAlive = 60_000, limit = 1024 * 1024, ...options }: MqttOptions,
): Observable<MqttMessage> {
  checkNumber('keepAlive', keepAlive, 1000, 65_535_000, 'a number of milliseconds');
  const greeting = Buffer.concat([connect(Math.ceil(keepAlive / 1000)), subscribe(topics, qos)]);
  return loop.source<MqttMessage>(
    'mqtt',
    (source, kernel) => {
      const connection = source.use(open());
      const packets = new PacketReader(limit);
      /** What the socket has not taken yet. */
      let outgoing = greeting;
      let isConnected = false;
      /** Nothing has come since the alarm rang last. */
      let isSilent = true;

      const wait = (): void => {
        // Who does not take what we answer is not listened to: else the answers would pile up.
        watch.change(outgoing.length > 0 ? EPOLLOUT : EPOLLIN);
        // What nobody has time for waits in the socket.
        watch.pause(source.pending);
      };
      const send = (): void => {
        outgoing = outgoing.subarray(connection.write(outgoing) ?? 0);
      };
      const receive = (): void => {
        const bytes = connection.read();
        if (bytes?.length === 0) throw new MqttError('the broker has hung up');
        for (const packet of packets.read(bytes ?? Buffer.alloc(0))) take(packet);
      };
      const take = (packet: Packet): void => {
        if (packet.type !== 'connack' && !isConnected) throw new MqttError('the broker does not begin with CONNACK');
        isSilent = false;
        if (packet.type === 'connack') isConnected = true;
        else if (packet.type === 'publish') source.pendAlso(packet.message);
        else if (packet.type === 'suback' && packet.refused.includes(true))
          throw new MqttError(`the broker refuses ${topics.filter((_, index) => packet.refused[index]).join(' ')}`);
      };
      const ready = (): void => {
        if (outgoing.length > 0) send();
        else receive();
        wait();
      };
      const watch = source.use(kernel.watch(connection.number, EPOLLOUT, ready));

      const ring = (): void => {
        // The loop may have been busy: what has come meanwhile is no silence.
        if (isSilent) ready();
        if (isSilent) throw new MqttError('the broker says nothing');
        // Nor is what was left in the socket since the message before it waits for its turn.
        isSilent = !source.pending;
        if (outgoing.length === 0) outgoing = pingreq;
        send();
        wait();
        alarm.set(kernel.now('monotonic') + keepAlive / 2);
      };
      const alarm = source.use(kernel.alarm('monotonic', ring));
      alarm.set(kernel.now('monotonic') + keepAlive / 2);

      const dispatched = ({ id }: MqttMessage): void => {
        // It was the last one, and the connection is closed.
        if (source.closed) return;
        if (id !== undefined) {
          outgoing = Buffer.concat([outgoing, puback(id)]);
          send();
        }
        wait();
      };
      return { dispatched };
    },
    options,
  );
}
