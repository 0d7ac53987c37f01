// No stream is a terminal.

export const isatty = () => false;
export default { isatty };
