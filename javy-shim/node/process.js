// The global process.

const { process } = globalThis;
export const {
  arch, argv, cwd, emitWarning, env, execArgv, exit, hrtime, memoryUsage, nextTick, off, on, once, pid, platform, stderr, stdout, title,
  uptime, version, versions,
} = process;
export default process;
