export * from './interface-from-text.js';
export * from './interface-syntax-error.js';
export * from './parse-interface.js';
export * from './print-interface.js';
export type * from './syntax.js';
export * from './typescript.js';
