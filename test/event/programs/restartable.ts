import { readFileSync, writeSync } from 'node:fs';
import { createServer } from 'node:http';
import { setTimeout as sleep } from 'node:timers/promises';
import { type RestartPhase, runService, ServedConnections, type Service, type ServiceOptions } from '@sdrx/event';
import { BehaviorSubject } from 'rxjs';

/** What a process does at a moment of its life. */
export type Deed =
  | 'kill itself'
  | 'kill the new one'
  | 'freeze the new one'
  | 'be told to end'
  | 'tell the new one to end'
  | 'be asked to restart'
  | 'hang'
  | 'throw'
  | 'restart'
  | 'stop'
  | 'exit';

/** A phase of a restart that it does; or in its start, when it may serve, when it is the service. */
export type Moment = RestartPhase | 'start' | 'resumes' | 'current' | 'ending';

/** What the file says that is the program's argument; read by each process anew. */
export interface Life {
  readonly options: Omit<ServiceOptions, 'report'>;
  readonly deeds?: Readonly<Partial<Record<Moment, Deed>>>;
  /** What the next process gets. */
  readonly state?: unknown;
  readonly last?: unknown;
  /** How long its start takes, in milliseconds. */
  readonly startTakes?: number;
  /** Steps of its end. */
  readonly steps?: readonly ('fails' | 'hangs')[];
  /** Leaves a timer behind. */
  readonly lingers?: boolean;
  /** Descriptors that it hands on. */
  readonly hands?: 'throws';
}

const file = process.argv[2] ?? '';
const {
  options,
  deeds = {},
  state,
  last,
  startTakes,
  steps = [],
  lingers,
  hands,
} = JSON.parse(readFileSync(file, 'utf8')) as Life;

/** One line that is out before anything else is done. */
function say(what: Record<string, unknown>): void {
  writeSync(1, `${JSON.stringify({ pid: process.pid, ...what })}\n`);
}

/** What it does by signals: to whom, and which. */
const signals: Readonly<Partial<Record<Deed, (next: number) => [pid: number, signal: NodeJS.Signals]>>> = {
  'kill itself': () => [process.pid, 'SIGKILL'],
  'kill the new one': (next) => [next, 'SIGKILL'],
  'freeze the new one': (next) => [next, 'SIGSTOP'],
  'be told to end': () => [process.pid, 'SIGTERM'],
  'tell the new one to end': (next) => [next, 'SIGTERM'],
  'be asked to restart': () => [process.pid, 'SIGHUP'],
};

function act(moment: Moment, service: Service, next = 0): Promise<never> | undefined {
  const deed = deeds[moment];
  if (deed === undefined) return undefined;
  const signal = signals[deed]?.(next);
  if (signal !== undefined) process.kill(...signal);
  else if (deed === 'hang') return new Promise(() => {});
  else if (deed === 'throw') throw new Error(`thrown at ${moment}`);
  else if (deed === 'stop') service.stop();
  else if (deed === 'exit') process.exit(0);
  else service.restart().catch((error: Error) => say({ what: 'refused', message: error.message }));
  return undefined;
}

process.on('warning', ({ name, message }) => say({ what: 'warning', name, message }));

const hand = () => {
  if (hands === 'throws') throw new Error('nothing to hand on');
  return {};
};
const restart = { state: () => state, last: () => last, fds: hand };

process.exitCode = await runService(
  {
    ...options,
    restart: typeof options.restart === 'object' ? { ...options.restart, ...restart } : (options.restart ?? restart),
    report: (error) => say({ what: 'report', message: error instanceof Error ? error.message : String(error) }),
  },
  async (service) => {
    say({ what: 'start', generation: service.generation, state: service.state, activated: service.activated });
    service.events.subscribe((event) => {
      if (event.type === 'restarting') {
        say({ what: event.phase, new: event.pid });
        act(event.phase, service, event.pid);
      } else if (event.type === 'restart-failed') {
        say({ what: 'restart-failed', reason: event.error.reason, message: event.error.message });
      } else if (event.type === 'restarted') {
        say({ what: 'restarted', new: event.pid });
      } else if (event.type === 'ending') {
        say({ what: 'ending', why: event.why });
        act('ending', service);
      }
    });
    service.last.subscribe((value) => say({ what: 'last', value }));
    // The loop's first timer opens a descriptor that stays, and not each restart gets as far as to set one.
    service.loop.time({ after: 0 }).subscribe();
    await act('start', service);
    if (startTakes !== undefined) await sleep(startTakes);
    service.scope.add('first step', () => say({ what: 'first step' }));
    for (const step of steps) {
      service.scope.add(`step that ${step}`, () => {
        if (step === 'fails') throw new Error('no end');
        return new Promise(() => {});
      });
    }
    if (lingers) setInterval(() => {}, 1000);
    for (const [name, sockets] of Object.entries(service.sockets as Record<string, unknown>)) {
      for (const { fd } of [sockets ?? []].flat() as { fd: never }[]) {
        if (!/web/.test(name)) continue;
        const server = createServer((request, response) => {
          const { searchParams } = new URL(request.url ?? '', 'http://it');
          setTimeout(() => response.end(`${process.pid}`), Number(searchParams.get('ms') ?? 0));
        });
        server.on('upgrade', (_request, socket) => {
          socket.on('error', () => socket.destroy());
          socket.write(`HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n`);
          socket.on('data', (data) => {
            if ((data[0] ?? 0) === 0x88) socket.end();
            else socket.write(data);
          });
          socket.on('end', () => socket.end());
        });
        service.serve(new ServedConnections(server).listen(fd));
      }
    }
    service.serve({
      count: new BehaviorSubject(0),
      waiting: false,
      resume: () => {
        act('resumes', service);
      },
      pause: () => {},
      drain: async () => {},
    });
    void service.current.then(() => {
      say({ what: 'current', generation: service.generation });
      act('current', service);
    });
  },
);
say({ what: 'end', status: process.exitCode });
