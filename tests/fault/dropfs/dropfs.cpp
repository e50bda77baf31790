// dropfs: a file system in memory that forgets what was not synced, for tests of whoever claims to
// keep things.
//
//   dropfs <mountpoint> <control socket> <capacity in MiB>
//
// Runs in the foreground until SIGTERM. The control socket takes one command per line; each is
// answered by lines of which the last begins with "ok" or "error":
//
//   fail <operation> <errno> <pattern> [skip [times]]   from the skip-th match on, times or always
//   delay <operation> <ms> <pattern> [skip [times]]     until over, or until clear
//   clear                                               no more of these; wakes who waits
//   cut [seed]                                          power off; with a seed unsynced sectors,
//                                                       sizes and names survive by chance
//   revive                                              power on: mounted anew
//   export <directory>                                  writes what the newest cut left elsewhere
//   report                                              operations counted, rules with their hits
//
// An operation is a word of FUSE's: read write fsync fsyncdir create open rename unlink mkdir rmdir
// truncate fallocate lookup getattr ..., or * for all; a pattern is matched as a shell does against
// the path below the mountpoint. A failed fsync loses what was unsynced, although the kernel's
// memory still has what was not written directly.
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <sstream>
#include <string>
#include <thread>

#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/fault/dropfs/file_system.hpp"

namespace {

using lance::fault::file_system;

int errno_of(const std::string& word) {
  if (word == "EIO")
    return EIO;
  if (word == "ENOSPC")
    return ENOSPC;
  if (word == "EDQUOT")
    return EDQUOT;
  return std::atoi(word.c_str());
}

std::string add_rule(file_system& system, bool fails, std::istringstream& words) {
  lance::fault::rule what;
  std::string amount;
  if (!(words >> what.operation >> amount >> what.pattern))
    return "error words are missing\n";
  words >> what.skip >> what.times;
  if (fails)
    what.error = errno_of(amount);
  else
    what.delay_us = std::strtoull(amount.c_str(), nullptr, 10) * 1000;
  if (fails && what.error <= 0)
    return "error no such errno\n";
  system.faults().add(std::move(what));
  return "ok\n";
}

std::string cut(file_system& system, std::istringstream& words) {
  std::uint64_t seed = 0;
  const auto did = system.cut(words >> seed ? std::optional<std::uint64_t>{seed} : std::nullopt);
  std::ostringstream text;
  text << "sectors_lost " << did.sectors_lost << "\nsectors_kept " << did.sectors_kept
       << "\nsizes_lost " << did.sizes_lost << "\nsizes_kept " << did.sizes_kept << "\nnames_lost "
       << did.names_lost << "\nnames_kept " << did.names_kept << "\nok\n";
  return text.str();
}

std::string obey(file_system& system, const std::string& line) {
  std::istringstream words{line};
  std::string command;
  words >> command;
  if (command == "fail" || command == "delay")
    return add_rule(system, command == "fail", words);
  if (command == "clear") {
    system.faults().clear();
    return "ok\n";
  }
  if (command == "cut")
    return cut(system, words);
  if (command == "revive")
    return system.revive(10) ? "ok\n" : "error still in use\n";
  if (command == "export") {
    std::string directory;
    words >> directory;
    return system.export_cut(directory) ? "ok\n" : "error not exported\n";
  }
  if (command == "report")
    return system.report() + "ok\n";
  return "error unknown command\n";
}

void converse(file_system& system, int peer) {
  std::string waiting;
  std::array<char, 4096> piece{};
  for (;;) {
    const auto got = ::recv(peer, piece.data(), piece.size(), 0);
    if (got <= 0)
      return;
    waiting.append(piece.data(), static_cast<std::size_t>(got));
    for (auto end = waiting.find('\n'); end != std::string::npos; end = waiting.find('\n')) {
      const auto reply = obey(system, waiting.substr(0, end));
      waiting.erase(0, end + 1);
      (void)::send(peer, reply.data(), reply.size(), MSG_NOSIGNAL);
    }
  }
}

int listen_at(const std::string& path) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (path.size() >= sizeof address.sun_path)
    return -1;
  std::memcpy(address.sun_path, path.data(), path.size());
  const int listening = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (listening < 0 ||
      ::bind(listening, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 ||
      ::listen(listening, 4) != 0)
    return -1;
  return listening;
}

} // namespace

int main(int count, char** words) {
  if (count != 4) {
    std::fputs("usage: dropfs <mountpoint> <control socket> <capacity in MiB>\n", stderr);
    return 2;
  }
  // Signals are taken by one thread that waits for them.
  sigset_t ends;
  ::sigemptyset(&ends);
  ::sigaddset(&ends, SIGTERM);
  ::sigaddset(&ends, SIGINT);
  ::pthread_sigmask(SIG_BLOCK, &ends, nullptr);

  file_system system{words[1], std::strtoull(words[3], nullptr, 10) << 20};
  const int listening = listen_at(words[2]);
  if (listening < 0) {
    std::perror("dropfs: control socket");
    return 1;
  }
  std::thread{[&] {
    int which = 0;
    ::sigwait(&ends, &which);
    system.end();
  }}.detach();
  std::thread{[&] {
    for (;;) {
      const int peer = ::accept4(listening, nullptr, nullptr, SOCK_CLOEXEC);
      if (peer < 0)
        return;
      converse(system, peer);
      ::close(peer);
    }
  }}.detach();
  const bool served = system.serve();
  ::unlink(words[2]);
  std::_Exit(served ? 0 : 1); // the detached threads still look at the system
}
