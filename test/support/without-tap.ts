/** Our environment for a Node that is no test: without the module that tap has every Node load and report with. */
export function withoutTap(): NodeJS.ProcessEnv {
  return { ...process.env, NODE_OPTIONS: undefined };
}
