/* Tells which unit it is in, as JSON. */
import { serviceEnvironment } from '@sdrx/event';

const { unit, userUnit, slice, session } = serviceEnvironment();
console.log(JSON.stringify([unit, userUnit, slice, session].map((name) => name ?? null)));
