/* Preloaded into the command under test: lets one system call on a book's files fail, once.
 *
 * FAIL_CALLS is a list of the calls that count ("pwrite write"), FAIL_NTH the number of the one that fails, FAIL_ERRNO the
 * error that it fails with. The files that count are those whose name has FAIL_PATH in it. Calls in the last run are counted
 * in the file FAIL_COUNT, so that a test knows when it has failed all of them.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static atomic_int calls;

static int is_named(const char *variable, const char *word) {
  const char *list = getenv(variable);
  if (!list) return 0;
  size_t length = strlen(word);
  for (const char *at = list; (at = strstr(at, word)); at += length) {
    int begins = at == list || at[-1] == ' ';
    if (begins && (at[length] == ' ' || at[length] == 0)) return 1;
  }
  return 0;
}

static int is_counted(int file) {
  const char *wanted = getenv("FAIL_PATH");
  if (!wanted) return 0;
  char link[64], path[4096];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return strstr(path, wanted) != NULL;
}

static int fails(const char *call, int file) {
  if (!is_named("FAIL_CALLS", call)) return 0;
  int error = errno, counted = is_counted(file);
  errno = error;
  if (!counted) return 0;
  int nth = atomic_fetch_add(&calls, 1) + 1;
  if (nth != atoi(getenv("FAIL_NTH"))) return 0;
  const char *mark = getenv("FAIL_COUNT");
  FILE *told = mark ? fopen(mark, "w") : NULL;
  if (told) {
    fprintf(told, "%s\n", call);
    fclose(told);
  }
  errno = atoi(getenv("FAIL_ERRNO"));
  return 1;
}

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

#define TRANSFER(name, kind, constness, offset_type) \
  ssize_t name(int file, constness void *bytes, size_t size, offset_type offset) { \
    REAL(ssize_t, #name, int, constness void *, size_t, offset_type); \
    return fails(kind, file) ? -1 : real(file, bytes, size, offset); \
  }

TRANSFER(pread, "read", , off_t)
TRANSFER(pread64, "read", , off64_t)
TRANSFER(pwrite, "write", const, off_t)
TRANSFER(pwrite64, "write", const, off64_t)

ssize_t read(int file, void *bytes, size_t size) {
  REAL(ssize_t, "read", int, void *, size_t);
  return fails("read", file) ? -1 : real(file, bytes, size);
}

ssize_t write(int file, const void *bytes, size_t size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  return fails("write", file) ? -1 : real(file, bytes, size);
}

int fsync(int file) {
  REAL(int, "fsync", int);
  return fails("sync", file) ? -1 : real(file);
}

int fdatasync(int file) {
  REAL(int, "fdatasync", int);
  return fails("sync", file) ? -1 : real(file);
}

int ftruncate(int file, off_t size) {
  REAL(int, "ftruncate", int, off_t);
  return fails("truncate", file) ? -1 : real(file, size);
}

int ftruncate64(int file, off64_t size) {
  REAL(int, "ftruncate64", int, off64_t);
  return fails("truncate", file) ? -1 : real(file, size);
}
