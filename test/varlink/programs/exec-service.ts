// Serves the connection that it is started with. With `stubborn` it does not end with it, nor by SIGTERM.
import { runService } from '@sdrx/event';
import { ServedVarlink, service } from '@sdrx/varlink';
import { exampleService } from '../example.js';
import { info } from '../fixture.js';

if (process.argv[2] === 'stubborn') {
  process.on('SIGTERM', () => {});
  setInterval(() => {}, 1e9);
} else {
  process.exitCode = await runService(
    { sockets: { varlink: { address: 'unix:@sdrx-test-nobody', connection: true } } },
    ({ loop, serve, sockets }) => {
      serve(new ServedVarlink(loop, service(info, ...exampleService()), sockets.varlink.fd));
    },
  );
}
