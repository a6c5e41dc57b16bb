/** What makes an inode of each kind, and changes whose one is. */
export const DEEDS = ['mkdir', 'file', 'fifo', 'symlink', 'link', 'chown'];

/** One process does them all: an emulated machine takes long to start one. No single quotes, which are around it. */
const PERL = `use POSIX;
  my $folder = shift;
  chdir $folder or die "$folder: $!";
  sub deed { my ($name, $done) = @_; print "$name: $!\\n" if !$done; unlink "new"; rmdir "new" }
  unlink "new"; rmdir "new";
  deed("mkdir", mkdir "new");
  deed("file", sysopen my $file, "new", O_CREAT | O_WRONLY);
  deed("fifo", mkfifo "new", 0666);
  deed("symlink", symlink "old", "new");
  deed("link", link "old", "new");
  deed("chown", chown 0, 0, "old");
  print "end\\n";`;

/** A shell command that does them in a folder with a file `old`, and writes what fails. */
export function deedsIn(folder: string): string {
  return `perl -e '${PERL}' ${folder}`;
}

/** Which were refused, of what it wrote; whatever failed for another reason, with that. Throws if it didn't do all. */
export function refusedDeeds(output: string): string[] {
  const lines = output.trim().split('\n');
  if (lines.pop() !== 'end') throw new Error(output);
  return lines.map((line) => line.replace(/: Operation not permitted$/, ''));
}
