export { readDeadNamespaces } from './dead-namespaces.js';
export { installUsernsRestrict } from './install.js';
export { Unrestricted } from './unrestricted.js';
export type { UsernsRestrict } from './userns-restrict.js';
