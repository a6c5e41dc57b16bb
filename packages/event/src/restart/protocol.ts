/** The version of what both processes say to each other. */
export const PROTOCOL = 1;

/** By this variable the new process finds its end of the channel. */
export const VARIABLE = 'SDRX_RESTART_FD';

/** The number of that descriptor. */
export const CHANNEL_FD = 3;
