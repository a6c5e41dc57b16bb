import { isSystemError } from '@sdrx/linux';
import type { ExportFile } from './export-file.js';
import { Fields, u16, u32, u64 } from './fields.js';
import { CONTEXT_ID, type Session } from './handshake.js';
import {
  CHUNK_DONE,
  Chunk,
  Command,
  CommandFlag,
  ExtentFlag,
  LONGEST_PAYLOAD,
  ProtocolError,
  REQUEST_MAGIC,
  RequestErrno,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './protocol.js';
import type { Wire } from './wire.js';

/** How many extents a reply tells at most. */
const MOST_EXTENTS = 128;

interface Request {
  readonly flags: number;
  readonly command: number;
  readonly cookie: bigint;
  readonly offset: number;
  readonly length: number;
  /** What is to be written. */
  readonly payload: Buffer;
}

/** A request that is refused; its client may go on. */
class Refusal extends Error {
  constructor(readonly errno: number) {
    super(`refused with error ${errno}`);
  }
}

/** What a command may be asked with, and what is out of range for it. */
const RULES: Readonly<Record<number, { writes: boolean; flags: number; beyond: number }>> = {
  [Command.read]: { writes: false, flags: CommandFlag.fua | CommandFlag.dontFragment, beyond: RequestErrno.EINVAL },
  [Command.write]: { writes: true, flags: CommandFlag.fua, beyond: RequestErrno.ENOSPC },
  [Command.trim]: { writes: true, flags: CommandFlag.fua, beyond: RequestErrno.EINVAL },
  [Command.writeZeroes]: {
    writes: true,
    flags: CommandFlag.fua | CommandFlag.noHole,
    beyond: RequestErrno.ENOSPC,
  },
  [Command.blockStatus]: {
    writes: false,
    flags: CommandFlag.fua | CommandFlag.oneExtent,
    beyond: RequestErrno.EINVAL,
  },
};

/** Answers a client's requests, one after another, until it goes or is left. Throws ProtocolError, Disconnected. */
export async function transmit(wire: Wire, file: ExportFile, session: Session): Promise<void> {
  for (;;) {
    const header = await wire.takeNext(28);
    if (header === undefined) return;
    const request = await complete(header, wire);
    if (request.command === Command.disconnect) return;
    await wire.send(...(await reply(request, file, session)));
  }
}

async function complete(header: Buffer, wire: Wire): Promise<Request> {
  const fields = new Fields(header);
  if (fields.u32() !== REQUEST_MAGIC) throw new ProtocolError('a request has a wrong magic number');
  const [flags, command, cookie] = [fields.u16(), fields.u16(), fields.u64()];
  // A number beyond 2⁵³ is rounded, and beyond every file all the same.
  const [offset, length] = [Number(fields.u64()), fields.u32()];
  const size = command === Command.write ? length : 0;
  if (size > LONGEST_PAYLOAD) throw new ProtocolError(`${size} bytes to be written at a time`);
  return { flags, command, cookie, offset, length, payload: await wire.take(size) };
}

async function reply(request: Request, file: ExportFile, session: Session): Promise<Buffer[]> {
  const { command, cookie, offset } = request;
  const structured = session.structured && (command === Command.read || command === Command.blockStatus);
  try {
    const data = await perform(request, file, session);
    if (!structured) return [simple(0, cookie), ...data];
    return command === Command.read
      ? chunk(Chunk.data, cookie, u64(offset), ...data)
      : chunk(Chunk.blockStatus, cookie, u32(CONTEXT_ID), ...data);
  } catch (error) {
    const errno = errnoOf(error);
    return structured ? chunk(Chunk.error, cookie, u32(errno), u16(0)) : [simple(errno, cookie)];
  }
}

/** @returns what the reply has to tell. Throws Refusal, or what the file fails with. */
async function perform(request: Request, file: ExportFile, session: Session): Promise<Buffer[]> {
  const { flags, command, offset, length, payload } = request;
  if (command === Command.flush && !file.readOnly) {
    await file.flush();
    return [];
  }
  checkRequest(request, file, session);
  const data: Buffer[] = [];
  if (command === Command.read) data.push(await file.read(offset, length));
  else if (command === Command.write) await file.write(offset, payload);
  else if (command === Command.trim) await file.trim(offset, length);
  else if (command === Command.writeZeroes) await file.writeZeroes(offset, length, (flags & CommandFlag.noHole) === 0);
  else data.push(...extents(request, file));
  if (RULES[command]?.writes && (flags & CommandFlag.fua) !== 0) await file.flush();
  return data;
}

/** Throws Refusal. */
function checkRequest({ command, flags, offset, length }: Request, file: ExportFile, { contexts }: Session): void {
  const rules = RULES[command];
  if (rules === undefined || (flags & ~rules.flags) !== 0 || length === 0) throw new Refusal(RequestErrno.EINVAL);
  if (rules.writes && file.readOnly) throw new Refusal(RequestErrno.EPERM);
  if (offset > file.size || length > file.size - offset) throw new Refusal(rules.beyond);
  if (command === Command.read && length > LONGEST_PAYLOAD) throw new Refusal(RequestErrno.EINVAL);
  if (command === Command.blockStatus && !contexts) throw new Refusal(RequestErrno.EINVAL);
}

function extents({ flags, offset, length }: Request, file: ExportFile): Buffer[] {
  const most = (flags & CommandFlag.oneExtent) === 0 ? MOST_EXTENTS : 1;
  const found: Buffer[] = [];
  for (const extent of file.extents(offset, length)) {
    found.push(u32(extent.length), u32(extent.hole ? ExtentFlag.hole | ExtentFlag.zero : 0));
    if (found.length >= 2 * most) break;
  }
  return found;
}

function errnoOf(error: unknown): number {
  if (error instanceof Refusal) return error.errno;
  if (!isSystemError(error)) throw error;
  console.error(`nbd-export: ${error.message}`);
  if (isSystemError(error, 'ENOSPC', 'EDQUOT', 'EFBIG')) return RequestErrno.ENOSPC;
  if (isSystemError(error, 'EPERM', 'EROFS')) return RequestErrno.EPERM;
  return isSystemError(error, 'ENOMEM') ? RequestErrno.ENOMEM : RequestErrno.EIO;
}

function simple(errno: number, cookie: bigint): Buffer {
  return Buffer.concat([u32(SIMPLE_REPLY_MAGIC), u32(errno), u64(cookie)]);
}

function chunk(type: number, cookie: bigint, ...payload: readonly Buffer[]): Buffer[] {
  const length = payload.reduce((sum, part) => sum + part.length, 0);
  const head = [u32(STRUCTURED_REPLY_MAGIC), u16(CHUNK_DONE), u16(type), u64(cookie), u32(length)];
  return [Buffer.concat(head), ...payload];
}
