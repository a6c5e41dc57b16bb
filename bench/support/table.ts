import { cpus, loadavg, release } from 'node:os';

/** What the figures were taken on; whether others were at work at the time says the load. */
export function printMachine(): void {
  const [load = 0] = loadavg();
  const machine = `Node ${process.versions.node}, Linux ${release()}, ${cpus().length} CPUs`;
  console.log(`${machine}, load average ${load.toFixed(2)}\n`);
}

/** Prints rows of text in columns, the first row as their headings; all but the first column to the right. */
export function printTable(rows: readonly (readonly string[])[]): void {
  const [headings = []] = rows;
  const widths = headings.map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)));
  const print = (row: readonly string[]) => {
    const cells = widths.map((width, column) => {
      const text = row[column] ?? '';
      return column === 0 ? text.padEnd(width) : text.padStart(width);
    });
    console.log(`| ${cells.join(' | ')} |`);
  };
  print(headings);
  console.log(`|${widths.map((width, column) => `${'-'.repeat(width + 1)}${column === 0 ? '-' : ':'}`).join('|')}|`);
  for (const row of rows.slice(1)) print(row);
  console.log();
}

/** 12345.6 as `12,346`. */
export function count(value: number): string {
  return Math.round(value).toLocaleString('en-US');
}

/** How many times `base`. */
export function times(value: number, base: number): string {
  return `${(value / base).toFixed(2)} ×`;
}
