import { systemBusAddresses } from '@sdrx/daemon';
import { EnvironmentError } from '@sdrx/event';
import t from 'tap';

const of = (address: string) => systemBusAddresses({ DBUS_SYSTEM_BUS_ADDRESS: address });

t.test('the bus is where everybody has it', (t) => {
  t.strictSame(systemBusAddresses({}), ['/run/dbus/system_bus_socket']);
  t.end();
});

t.test('or where the environment says', (t) => {
  for (const [address, found] of [
    ['unix:path=/run/bus', ['/run/bus']],
    ['unix:guid=0123456789abcdef,path=/run/bus', ['/run/bus']],
    ['unix:abstract=bus,guid=01', ['@bus']],
    ['unix:path=/tmp/a%20b%2cc%3bd', ['/tmp/a b,c;d']],
    ['tcp:host=localhost,port=1;unix:path=/run/a;unix:abstract=b', ['/run/a', '@b']],
    ['unix:path=/run/bus;', ['/run/bus']],
  ] as const) {
    t.strictSame(of(address), found, address);
  }
  t.end();
});

t.test('it must say that of a Unix socket', (t) => {
  for (const address of [
    '',
    'unix:',
    'unix:path=',
    'unix:path=bus',
    'unix:path=/%zz',
    'unix:abstract=',
    '/run/bus',
    'tcp:host=a',
  ]) {
    t.throws(() => of(address), EnvironmentError, address);
  }
  t.end();
});
