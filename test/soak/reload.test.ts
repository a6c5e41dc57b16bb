import t from 'tap';
import { needsRoot } from '../support/privileges.js';
import { reloadUnderLoad } from '../support/reload-under-load.js';

t.setTimeout(1_800_000);

t.test('a hundred reloads lose no call and no death', needsRoot, (t) => reloadUnderLoad(t, 100));
