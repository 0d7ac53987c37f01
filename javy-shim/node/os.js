// What a function may know of the machine: nothing that is particular to it.

export const EOL = "\n";
export const devNull = "/dev/null";
export const platform = () => "linux";
export const type = () => "Linux";
export const arch = () => "wasm32";
export const machine = () => "wasm32";
export const release = () => "";
export const version = () => "";
export const hostname = () => "localhost";
export const homedir = () => "/";
export const tmpdir = () => "/tmp";
export const endianness = () => "LE";
export const cpus = () => [];
export const availableParallelism = () => 1;
export const loadavg = () => [0, 0, 0];
export const networkInterfaces = () => ({});
export const totalmem = () => 0;
export const freemem = () => 0;
export const uptime = () => 0;
export const userInfo = () => ({ username: "function", uid: -1, gid: -1, shell: null, homedir: "/" });
export const constants = { signals: {}, errno: {}, priority: {} };

export default {
  EOL, arch, availableParallelism, constants, cpus, devNull, endianness, freemem, homedir, hostname, loadavg, machine, networkInterfaces,
  platform, release, tmpdir, totalmem, type, uptime, userInfo, version,
};
