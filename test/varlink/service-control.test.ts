import { Journal, type LogLevel } from '@sdrx/event';
import { type ServiceControlOptions, serviceControl, serviceInterface } from '@sdrx/varlink';
import t from 'tap';
import { type Fixture, withServer } from './fixture.js';

const { methods } = serviceInterface;

/** A service that lets itself be controlled, with a client. */
function withControl(
  options: ServiceControlOptions | undefined,
  test: (client: ReturnType<Fixture['client']>, fixture: Fixture) => Promise<void>,
): Promise<void> {
  return withServer([serviceControl(options)], (fixture) => test(fixture.client(), fixture));
}

const denied = { message: 'org.varlink.service.PermissionDenied' };
const missing = (method: { name: string }) => ({
  message: `org.varlink.service.MethodNotImplemented {"method":"${method.name}"}`,
});

t.test('in a line, a service answers Ping and tells its environment', (t) =>
  withControl(undefined, async (client) => {
    t.strictSame((await client.call(methods.Ping, {})).parameters, {});
    process.env.SDRX_ODD = 'a=b c';
    const { environment } = (await client.call(methods.GetEnvironment, {})).parameters;
    delete process.env.SDRX_ODD;
    t.ok(environment?.includes('SDRX_ODD=a=b c'));
    await t.rejects(client.call(methods.Reload, {}), missing(methods.Reload));
    await t.rejects(client.call(methods.SetLogLevel, {}), missing(methods.SetLogLevel));
    await t.rejects(client.call(methods.GetLogLevel, {}), missing(methods.GetLogLevel));
  }),
);

t.test('a log has its level told and set', async (t) => {
  const log = new Journal({ identifier: 'test', level: 'notice', target: 'stderr' });
  await withControl({ log }, async (client) => {
    t.equal((await client.call(methods.GetLogLevel, {})).parameters.level, 5);
    await client.call(methods.SetLogLevel, { level: 7 });
    t.equal(log.level, 'debug');
    await t.rejects(client.call(methods.SetLogLevel, {}), {
      message: 'org.varlink.service.InvalidParameter {"parameter":"level"}',
    });
  });
});

t.test('a service of several processes sets the level itself, and reloads before it answers', async (t) => {
  const told: (LogLevel | string)[] = [];
  const options: ServiceControlOptions = {
    setLogLevel: async (level) => {
      told.push(level);
    },
    reload: async () => {
      await new Promise((resolve) => setImmediate(resolve));
      told.push('reloaded');
    },
  };
  await withControl(options, async (client) => {
    await client.call(methods.SetLogLevel, { level: 0 });
    await client.call(methods.Reload, { allowInteractiveAuthentication: true });
    t.strictSame(told, ['emerg', 'reloaded']);
    await t.rejects(client.call(methods.GetLogLevel, {}), missing(methods.GetLogLevel));
  });
});

t.test('who may not control may ask, and is refused the rest, but for what is wrong anyway', async (t) => {
  const log: { level: LogLevel } = { level: 'info' };
  const reload = () => t.fail('it was not for this peer');
  const options: ServiceControlOptions = { log, mayControl: () => false, reload: () => void reload() };
  await withControl(options, async (client) => {
    await client.call(methods.Ping, {});
    t.equal((await client.call(methods.GetLogLevel, {})).parameters.level, 6);
    await t.rejects(client.call(methods.SetLogLevel, { level: 7 }), denied);
    await t.rejects(client.call(methods.SetLogLevel, {}), { message: /InvalidParameter/ });
    await t.rejects(client.call(methods.Reload, {}), denied);
    await t.rejects(client.call(methods.GetEnvironment, {}), denied);
    t.equal(log.level, 'info');
  });
});

t.test('an environment that is no text is not told', (t) =>
  withControl({}, async (client) => {
    process.env.SDRX_ODD = 'a\ufffdb';
    await t.rejects(client.call(methods.GetEnvironment, {}), {
      message: 'io.systemd.service.InconsistentEnvironment',
    });
    delete process.env.SDRX_ODD;
  }),
);
