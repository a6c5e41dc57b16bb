/** Runs `body` with these variables in the environment of the process (undefined: unset), and puts it back. */
export async function withEnvironment<T>(
  variables: Readonly<Record<string, string | undefined>>,
  body: () => T | Promise<T>,
): Promise<T> {
  const before = Object.keys(variables).map((name) => [name, process.env[name]] as const);
  const set = ([name, value]: readonly [string, string | undefined]): void => {
    if (value === undefined) delete process.env[name];
    else process.env[name] = value;
  };
  Object.entries(variables).forEach(set);
  try {
    return await body();
  } finally {
    before.forEach(set);
  }
}
