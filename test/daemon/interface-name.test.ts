import { isInterfaceName } from '@sdrx/daemon';
import t from 'tap';

for (const name of [
  'host0',
  'a',
  'a'.repeat(15),
  'eth0.1',
  '-',
  '-5',
  '+',
  '1x',
  '09',
  '0b2',
  '0xg',
  'All',
  '...',
  '~',
]) {
  t.ok(isInterfaceName(name), `${name} is the name of an interface`);
}

for (const name of [
  '',
  '.',
  '..',
  'all',
  'default',
  'a'.repeat(16),
  'a b',
  ' a',
  'a\n',
  'a\0b',
  'a/b',
  'a:b',
  'a%b',
  'ä',
  '\x7f',
]) {
  t.notOk(isInterfaceName(name), `${JSON.stringify(name)} is none`);
}

for (const name of ['0', '1', '007', '09', '4294967296', '+5', '0x10', '0XaB', '0b11', '0o17', '+0x10']) {
  t.notOk(isInterfaceName(name), `${name} could be an index`);
}
