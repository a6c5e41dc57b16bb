import type { ExportFile } from './export-file.js';
import { Fields, u16, u32, u64 } from './fields.js';
import {
  ExportFlag,
  GREETING_MAGIC,
  HandshakeFlag,
  Info,
  LONGEST_PAYLOAD,
  OPTION_MAGIC,
  OPTION_REPLY_MAGIC,
  Option,
  OptionReply,
  ProtocolError,
} from './protocol.js';
import type { Wire } from './wire.js';

/** The metadata context that tells holes. */
const CONTEXT = 'base:allocation';
export const CONTEXT_ID = 1;

const LONGEST_OPTION = 16 * 1024;
const MOST_OPTIONS = 32;
/** Behind the reply to EXPORT_NAME, unless the client does without. */
const PADDING = Buffer.alloc(124);
/** What is read and written best. */
const BLOCK_SIZE = 4096;

/** What a client and we agreed upon. */
export interface Session {
  /** Replies to READ are structured. */
  structured: boolean;
  /** Holes may be asked for. */
  contexts: boolean;
}

/**
 * Comes to terms with a client: fixed newstyle. Every name is the same export.
 * @returns undefined when it goes without having chosen it
 * Throws ProtocolError, Disconnected.
 */
export async function handshake(wire: Wire, file: ExportFile): Promise<Session | undefined> {
  const flags = HandshakeFlag.fixedNewstyle | HandshakeFlag.noZeroes;
  await wire.send(u64(GREETING_MAGIC), u64(OPTION_MAGIC), u16(flags));
  const answer = await wire.takeNext(4);
  if (answer === undefined) return undefined;
  const clientFlags = answer.readUInt32BE();
  if ((clientFlags & ~flags) !== 0) throw new ProtocolError(`unknown client flags ${clientFlags}`);

  const session: Session = { structured: false, contexts: false };
  for (let count = 0; count < MOST_OPTIONS; count++) {
    const header = await wire.takeNext(16);
    if (header === undefined) return undefined;
    const fields = new Fields(header);
    if (fields.u64() !== OPTION_MAGIC) throw new ProtocolError('an option has a wrong magic number');
    const option = fields.u32();
    const length = fields.u32();
    if (length > LONGEST_OPTION) throw new ProtocolError(`an option of ${length} bytes`);
    const data = await wire.take(length);
    if (option === Option.exportName) {
      const padding = (clientFlags & HandshakeFlag.noZeroes) === 0 ? [PADDING] : [];
      await wire.send(describe(file, session), ...padding);
      return session;
    }
    const replies = answers(option, data, file, session);
    await wire.send(...replies.map(([type, reply = Buffer.alloc(0)]) => optionReply(option, type, reply)));
    if (option === Option.abort) return undefined;
    if (option === Option.go && replies.at(-1)?.[0] === OptionReply.ack) return session;
  }
  throw new ProtocolError(`more than ${MOST_OPTIONS} options`);
}

type Answer = readonly [type: number, reply?: Buffer];

/** Everything that an option is answered with, the last of it final. */
function answers(option: number, data: Buffer, file: ExportFile, session: Session): Answer[] {
  try {
    return [...accepted(option, new Fields(data), file, session), [OptionReply.ack]];
  } catch (error) {
    if (error instanceof UnknownOption) return [[OptionReply.unsupported]];
    if (error instanceof ProtocolError) return [[OptionReply.invalid, Buffer.from(error.message)]];
    throw error;
  }
}

class UnknownOption extends Error {}

/** What comes before the acknowledgement of an option. */
function accepted(option: number, fields: Fields, file: ExportFile, session: Session): Answer[] {
  switch (option) {
    case Option.abort:
      return [];
    case Option.list:
      fields.end();
      return [[OptionReply.server, u32(0)]];
    case Option.structuredReply:
      fields.end();
      session.structured = true;
      return [];
    case Option.info:
    case Option.go: {
      fields.bytes(fields.u32());
      const wanted = fields.list(fields.u16(), () => fields.u16());
      fields.end();
      const sizes = Buffer.concat([u16(Info.blockSize), u32(1), u32(BLOCK_SIZE), u32(LONGEST_PAYLOAD)]);
      return [
        [OptionReply.info, Buffer.concat([u16(Info.export), describe(file, session)])],
        ...(wanted.includes(Info.blockSize) ? [[OptionReply.info, sizes] as const] : []),
      ];
    }
    case Option.listMetaContext:
    case Option.setMetaContext: {
      if (!session.structured) throw new ProtocolError('metadata contexts need structured replies');
      const isList = option === Option.listMetaContext;
      fields.bytes(fields.u32());
      const queries = fields.list(fields.u32(), () => String(fields.bytes(fields.u32())));
      fields.end();
      const isWanted = queries.includes(CONTEXT) || (isList && (queries.length === 0 || queries.includes('base:')));
      if (!isList) session.contexts = isWanted;
      const id = isList ? 0 : CONTEXT_ID;
      return isWanted ? [[OptionReply.metaContext, Buffer.concat([u32(id), Buffer.from(CONTEXT)])]] : [];
    }
    default:
      throw new UnknownOption();
  }
}

/** Its size, and what can be done with it. */
function describe({ size, readOnly }: ExportFile, { structured }: Session): Buffer {
  const { hasFlags, flush, fua, trim, writeZeroes, multiConn, dontFragment } = ExportFlag;
  const kind = readOnly ? ExportFlag.readOnly : flush | fua | trim | writeZeroes;
  return Buffer.concat([u64(size), u16(hasFlags | multiConn | kind | (structured ? dontFragment : 0))]);
}

function optionReply(option: number, type: number, data: Buffer): Buffer {
  return Buffer.concat([u64(OPTION_REPLY_MAGIC), u32(option), u32(type), u32(data.length), data]);
}
