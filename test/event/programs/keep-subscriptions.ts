// Keeps a subscription that goes on and one that has ended, and prints as JSON which of what belongs to them can't be collected.
// Needs --expose-gc.
import { EventLoop } from '@sdrx/event';
import type { Subscription } from 'rxjs';

const loop = new EventLoop();

function goingOn(): [Subscription, WeakRef<object>] {
  const observable = loop.time({ after: 1e6 });
  return [observable.subscribe(), new WeakRef(observable)];
}

function ended(): [Subscription, ...WeakRef<object>[]] {
  const [first, second] = [{ value: 1 }, { value: 2 }];
  const pending = loop.source<object>('pending', (source) => {
    source.pend(first);
    source.pendAlso(second);
    return {};
  });
  const subscription = pending.subscribe();
  subscription.unsubscribe();
  return [subscription, new WeakRef(first), new WeakRef(second)];
}

const [timer, observable] = goingOn();
const [closed, ...values] = ended();
// What a WeakRef was made of stays until the next turn.
await new Promise((resolve) => setImmediate(resolve));
globalThis.gc?.();
const kept = (reference: WeakRef<object> | undefined) => reference?.deref() !== undefined;
process.stdout.write(JSON.stringify({ observable: kept(observable), values: values.map(kept) }));
timer.unsubscribe();
closed.unsubscribe();
