import * as t from 'io-ts';
import type { CommandLine } from '../program/command-line.js';
import { REQUEST_OPTIONS } from './namespace-request.js';

/** A shell can open no others by one digit. */
const DescriptorNumber = new t.Type<number, string, unknown>(
  'a number from 3 to 9',
  (input): input is number => typeof input === 'number',
  (input, context) =>
    typeof input === 'string' && /^[3-9]$/.test(input) ? t.success(Number(input)) : t.failure(input, context),
  String,
);

const OPTIONS = {
  ...REQUEST_OPTIONS,
  fd: { value: 'N', codec: DescriptorNumber, description: 'The descriptor by which COMMAND gets it, from 3 to 9 (3)' },
} as const;

export const ALLOCATE = {
  program: 'nsresourcectl allocate',
  summary: `Makes a user namespace with ids that are lent to it, and nothing in it. With PATH it is held by a bind mount there,
for root, until 'nsresourcectl release'. With COMMAND it is held by a descriptor of that one, which is not in it:
  nsresourcectl allocate --fd=3 -- bwrap --userns 3 --uid 0 --gid 0 --dev-bind / / bash

Exit status with COMMAND: as of 'nsresourcectl run'.`,
  options: OPTIONS,
  operands: 'PATH | -- COMMAND [ARGUMENT...]',
} as const satisfies CommandLine<typeof OPTIONS>;
