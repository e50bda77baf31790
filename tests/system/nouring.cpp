// nouring PROGRAM [ARGUMENT...]: runs a program in a world where io_uring is forbidden, the way
// container runtimes forbid it (seccomp, EPERM). For the tests of the fallback.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <initializer_list>

#include <seccomp.h>
#include <sys/prctl.h>
#include <unistd.h>

namespace {

/// Installs the filter for this process and all it becomes. 0, or a negative errno.
int forbid_io_uring() {
  scmp_filter_ctx filter = seccomp_init(SCMP_ACT_ALLOW);
  if (filter == nullptr)
    return -ENOMEM;
  int status = 0;
  for (int call : {SCMP_SYS(io_uring_setup), SCMP_SYS(io_uring_enter), SCMP_SYS(io_uring_register)})
    if (status == 0)
      status = seccomp_rule_add(filter, SCMP_ACT_ERRNO(EPERM), call, 0);
  if (status == 0)
    status = seccomp_load(filter);
  seccomp_release(filter);
  return status;
}

} // namespace

int main(int count, char** words) {
  if (count < 2) {
    std::fprintf(stderr, "usage: nouring PROGRAM [ARGUMENT...]\n");
    return 2;
  }
  // Needed to install a filter without privileges.
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
    std::perror("nouring: prctl");
    return 126;
  }
  if (const int status = forbid_io_uring(); status != 0) {
    std::fprintf(stderr, "nouring: %s\n", std::strerror(-status));
    return 126;
  }
  execvp(words[1], words + 1);
  std::perror("nouring: exec");
  return 127;
}
