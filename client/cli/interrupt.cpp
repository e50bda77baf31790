#include "client/cli/interrupt.hpp"

#include <csignal>

namespace lance::client::cli {

namespace {

volatile std::sig_atomic_t wish_to_end = 0;

extern "C" void note_interrupt(int) {
  wish_to_end = 1;
}

} // namespace

void watch_for_interrupts() noexcept {
  struct sigaction act {};
  act.sa_handler = note_interrupt;
  act.sa_flags = static_cast<int>(SA_RESETHAND);
  ::sigaction(SIGINT, &act, nullptr);
  ::sigaction(SIGTERM, &act, nullptr);
}

bool interrupted() noexcept {
  return wish_to_end != 0;
}

} // namespace lance::client::cli
