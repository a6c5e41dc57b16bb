import type { ExportFile } from './export-file.js';
import { handshake } from './handshake.js';
import { ProtocolError } from './protocol.js';
import { transmit } from './transmission.js';
import { Disconnected, type Wire } from './wire.js';

/** Serves a client until it goes or is left. What it does wrong ends its connection, and no other. */
export async function serveClient(wire: Wire, file: ExportFile): Promise<void> {
  try {
    const session = await handshake(wire, file);
    if (session !== undefined) await transmit(wire, file, session);
  } catch (error) {
    if (error instanceof ProtocolError) console.error(`nbd-export: a client was left: ${error.message}`);
    else if (!(error instanceof Disconnected)) throw error;
  } finally {
    wire.end();
  }
}
