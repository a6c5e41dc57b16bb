import { LocalQuota, limitCalls } from '@sdrx/daemon';
import { type Call, service, VarlinkError } from '@sdrx/varlink';
import { Observable } from 'rxjs';
import t from 'tap';
import { exampleService } from '../varlink/example.js';

const INFO = { vendor: 'sdrx', product: 'test', version: '1', url: 'https://example.org/' };

/** A call of a user, of which only that is looked at. */
function callOf(uid: number): Call {
  return { peer: { pid: 1, uid, gid: uid } } as Call;
}

t.test('a user has so many calls that are being worked on, however they are answered', async (t) => {
  let resolve: (() => void) | undefined;
  let ended = 0;
  const implementations = exampleService({
    Nothing: () => new Promise<void>((done) => (resolve = done)),
    Watch: () => new Observable(() => () => ended++),
    Count: () => {
      throw new Error('no');
    },
  });
  const served = limitCalls(service(INFO, ...implementations), new LocalQuota(2));
  const call = (method: string, uid: number) =>
    served.methods.get(`org.example.test.${method}`)?.handler?.({ text: 'x' }, callOf(uid));
  const isRefused = (method: string, uid: number) => {
    try {
      call(method, uid);
      return false;
    } catch (error) {
      if (error instanceof VarlinkError && error.parameters.errnoName === 'EUSERS') return true;
      throw error;
    }
  };
  const promise = call('Nothing', 1000) as Promise<unknown>;
  const watch = (call('Watch', 1000) as Observable<unknown>).subscribe();
  t.ok(isRefused('Echo', 1000));
  t.notOk(isRefused('Echo', 1001), 'others are not concerned');
  watch.unsubscribe();
  t.equal(ended, 1);
  for (let count = 0; count < 5; count++) t.notOk(isRefused('Echo', 1000), 'what is answered at once is over at once');
  for (let count = 0; count < 5; count++) t.throws(() => call('Count', 1000), /no/, 'so is what fails');
  const second = (call('Watch', 1000) as Observable<unknown>).subscribe();
  t.ok(isRefused('Echo', 1000));
  resolve?.();
  await promise;
  t.notOk(isRefused('Echo', 1000));
  second.unsubscribe();
});

t.test('a method without handler stays without', async (t) => {
  const served = limitCalls(service(INFO, ...exampleService()), new LocalQuota(1));
  t.equal(served.methods.get('org.example.test.Unimplemented')?.handler, undefined);
});
