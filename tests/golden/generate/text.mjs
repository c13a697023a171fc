// Dumps as text: what fits on a line stands on one.
const WIDTH = 110;

/** JSON as in the golden files. */
export function print(value, indent = 0) {
  const line = JSON.stringify(value);
  if (value === null || typeof value !== 'object' || line.length + indent <= WIDTH) {
    return line;
  }
  const pad = ' '.repeat(indent + 1);
  const rows = Array.isArray(value)
    ? value.map((item) => pad + print(item, indent + 1))
    : Object.entries(value).map(([name, item]) => `${pad}${JSON.stringify(name)}: ${print(item, indent + 1)}`);
  const [open, close] = Array.isArray(value) ? '[]' : '{}';
  return `${open}\n${rows.join(',\n')}\n${' '.repeat(indent)}${close}`;
}

/** The first line in which two texts differ, or nothing. */
export function firstDifference(expected, found) {
  const [theirs, ours] = [expected.split('\n'), found.split('\n')];
  const at = theirs.findIndex((line, index) => line !== ours[index]);
  if (at < 0 && theirs.length === ours.length) {
    return undefined;
  }
  const line = at < 0 ? theirs.length : at;
  return `line ${line + 1}\n    stored    ${theirs[line] ?? 'nothing'}\n    generated ${ours[line] ?? 'nothing'}`;
}
