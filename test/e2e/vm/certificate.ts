import { run } from './machine.js';

/** Makes a key, and a certificate that is signed with it. openssl-req(1) */
export function makeCertificate(key: string, certificate: string): void {
  const request = ['-batch', '-new', '-x509', '-newkey', 'rsa:2048', '-noenc', '-subj', '/CN=sdrx', '-days', '100'];
  run('openssl', 'req', ...request, '-keyout', key, '-out', certificate);
}
