/*
 * hold-namespaces COUNT UID EACH
 *
 * Makes COUNT user namespaces without maps, EACH of them for one user, from UID on. Prints a JSON array with the inode and the
 * id of each, 0 where the kernel has none, then holds them until its input ends. Must be run as root.
 */
#include "namespaces.h"
#include <inttypes.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define NS_GET_ID _IOR(0xb7, 13, uint64_t)

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  int count = atoi(argv[1]), each = atoi(argv[3]);
  raise_descriptor_limit();
  printf("[");
  for (int i = 0; i < count; i++) {
    int fd = make_namespace(atoi(argv[2]) + i / each);
    struct stat status;
    uint64_t id = 0;
    if (fstat(fd, &status) != 0) no_namespace("fstat");
    if (ioctl(fd, NS_GET_ID, &id) != 0) id = 0;
    printf("%s[%ju,\"%" PRIu64 "\"]", i == 0 ? "" : ",", (uintmax_t)status.st_ino, id);
  }
  printf("]\n");
  fflush(stdout);
  char byte;
  while (read(0, &byte, 1) > 0);
  return 0;
}
