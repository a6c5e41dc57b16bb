// Subscribes to sources of a loop that is never run: nothing keeps this program from ending.
import { EventLoop } from '@sdrx/event';

const loop = new EventLoop();
loop.time({ every: 1 }).subscribe(() => process.stdout.write('came'));
loop.signal('SIGUSR2').subscribe();
loop.defer({ repeat: true }).subscribe();
process.stdout.write('subscribed');
