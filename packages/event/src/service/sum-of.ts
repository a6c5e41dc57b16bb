import { Observable } from 'rxjs';

/** The sum of what they told last, as soon as each has told a number. It goes on for as long as anybody listens. */
export function sumOf(counts: readonly Observable<number>[]): Observable<number> {
  // Without operators of rxjs, each of which a service would have to load before its first client is answered.
  return new Observable((subscriber) => {
    const numbers = new Map<number, number>();
    const tell = () => {
      if (numbers.size < counts.length) return;
      let sum = 0;
      for (const number of numbers.values()) sum += number;
      subscriber.next(sum);
    };
    counts.forEach((count, index) => {
      subscriber.add(
        count.subscribe({
          next: (number) => {
            numbers.set(index, number);
            tell();
          },
          error: (error) => subscriber.error(error),
        }),
      );
    });
    if (counts.length === 0) tell();
  });
}
