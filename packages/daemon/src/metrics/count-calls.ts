import { atLoad } from '@sdrx/linux';
import type { ServedMethod, ServerEvent, Service } from '@sdrx/varlink';
import { defer, finalize, isObservable, type Observable, tap } from 'rxjs';
import {
  BOUNDS,
  bucketWord,
  FAILURES_WORD,
  METHODS,
  OUTCOMES,
  outcomeWord,
  REFUSALS,
  refusalWord,
  sumWord,
} from './call-counts.js';
import type { Counter } from './call-ledger.js';

const OTHER_METHOD = METHODS.indexOf('other');
const OTHER_REFUSAL = REFUSALS.indexOf('other');

/** The same service, whose calls are counted: how they end, and how long that takes. */
export function countCalls({ methods }: Service, counter: Counter): Service {
  return { methods: new Map([...methods].map(([name, method]) => [name, counted(method, name, counter)])) };
}

/** Counts what a server tells: what clients were refused, and what failed. */
export function countEvent(event: ServerEvent, counter: Counter): void {
  if (event.type === 'failed') counter.add(FAILURES_WORD, 1);
  if (event.type !== 'refused') return;
  const known = (REFUSALS as readonly string[]).indexOf(event.reason);
  counter.add(refusalWord(known === -1 ? OTHER_REFUSAL : known), event.count);
}

function counted(served: ServedMethod, name: string, counter: Counter): ServedMethod {
  const { handler } = served;
  if (handler === undefined) return served;
  const known = (METHODS as readonly string[]).indexOf(name.slice(name.lastIndexOf('.') + 1));
  const method = known === -1 ? OTHER_METHOD : known;
  return {
    ...served,
    handler: (parameters, call) => {
      const begun = atLoad.performanceNow();
      const end = (outcome: (typeof OUTCOMES)[number]) => count(counter, method, outcome, begun);
      try {
        const answer = handler(parameters, call);
        if (isObservable(answer)) return countedAnswers(answer, end);
        if (!(answer instanceof Promise)) {
          end('ok');
          return answer;
        }
        return answer.then(
          (value) => {
            end('ok');
            return value;
          },
          (error: unknown) => {
            end('error');
            throw error;
          },
        );
      } catch (error) {
        end('error');
        throw error;
      }
    },
  };
}

/** Who asks for one answer only has it end there. One that is given up before is none. */
function countedAnswers<T>(answers: Observable<T>, end: (outcome: (typeof OUTCOMES)[number]) => void): Observable<T> {
  return defer(() => {
    let outcome: (typeof OUTCOMES)[number] = 'error';
    const answered = () => {
      outcome = 'ok';
    };
    const failed = () => {
      outcome = 'error';
    };
    return answers.pipe(
      tap({ next: answered, complete: answered, error: failed }),
      finalize(() => end(outcome)),
    );
  });
}

function count(counter: Counter, method: number, outcome: (typeof OUTCOMES)[number], begun: number): void {
  const milliseconds = atLoad.performanceNow() - begun;
  counter.add(outcomeWord(method, OUTCOMES.indexOf(outcome)), 1);
  counter.add(sumWord(method), Math.round(milliseconds * 1000));
  const bucket = BOUNDS.findIndex((bound) => milliseconds <= bound * 1000);
  counter.add(bucketWord(method, bucket === -1 ? BOUNDS.length : bucket), 1);
}
