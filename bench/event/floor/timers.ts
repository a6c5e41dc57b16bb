// What RxJS alone takes for it: a subscription each, whose source does nothing, and its end.
import { Observable } from 'rxjs';
import { rounds, task } from '../meter.js';

const { events } = task();
const nothing = () => {};

await rounds(events, (count) => {
  const subscriptions = Array.from({ length: count }, () => new Observable<void>(() => nothing).subscribe());
  for (const subscription of subscriptions) subscription.unsubscribe();
});
