/*
 * hold-connections SOCKET COUNT UID
 *
 * Connects COUNT times as one user, says nothing, and prints how many connections were made as a JSON number, then holds those
 * that the service does not close until its input ends. Must be run as root.
 */
#include "namespaces.h"
#include "varlink-client.h"

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  uid_t uid = atoi(argv[3]);
  raise_descriptor_limit();
  if (setresgid(uid, uid, uid) != 0 || setresuid(uid, uid, uid) != 0) die("setresuid");
  int made = 0;
  /* Where the queue is full, it waits. */
  for (int i = 0; i < atoi(argv[2]); i++) made += connect_to(argv[1], INT64_C(10000000000)) >= 0;
  printf("%d\n", made);
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  return 0;
}
