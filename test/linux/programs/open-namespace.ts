// Becomes the user 65534 and opens the user namespace with the id and inode of its ARGUMENTS; prints the error's code.
import { openUserNamespace } from '@sdrx/linux';
import { errorCode } from '../../support/error-code.js';

process.setuid?.(65534);
const [id = '', inode = ''] = process.argv.slice(2);
process.stdout.write(errorCode(() => openUserNamespace(BigInt(id), Number(inode)).close()));
