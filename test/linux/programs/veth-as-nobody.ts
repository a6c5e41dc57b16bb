// Becomes the user 65534, tries to make a veth pair, and prints the error's code.
import { Links } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';

process.setuid?.(65534);
using links = new Links();
process.stdout.write(String(errorCode(() => links.createVeth({ name: 'near' }, { name: 'far' }, 0))));
