// A connection as its two ends see it: bytes in order, in pieces, after a while; and its loss, told
// to each end some time later, with what was under way gone.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <vector>

#include "runtime/bytes.hpp"
#include "tests/sim/event_loop.hpp"
#include "tests/sim/random_stream.hpp"

namespace lance::sim {

class sim_connection : public std::enable_shared_from_this<sim_connection> {
 public:
  enum class end : std::uint8_t { client, server };
  struct ears {
    std::function<void(byte_view)> bytes;
    std::function<void()> lost;
  };

  sim_connection(event_loop& loop, random_stream& random) : loop_(loop), random_(random) {}

  /// Who listens at one end; taken away by hang_up().
  void listen(end which, ears who) { at(which) = std::move(who); }
  /// This end hears nothing any more, and the other that it is gone.
  void hang_up(end which) {
    at(which) = {};
    cut();
  }
  /// The network loses it.
  void cut() {
    if (!std::exchange(whole_, false))
      return;
    for (const auto which : {end::client, end::server})
      loop_.after(random_.between(100 * us_in_ns, 5 * ms_in_ns),
                  [self = shared_from_this(), which] {
                    if (const auto told = self->at(which).lost)
                      told();
                  });
  }
  [[nodiscard]] bool whole() const noexcept { return whole_; }

  void send(end from, std::vector<std::byte> bytes) {
    const auto to = from == end::client ? end::server : end::client;
    auto& arrives = arrives_ns_[static_cast<std::size_t>(to)];
    arrives = std::max(arrives, loop_.now_ns() + random_.between(10 * us_in_ns, 200 * us_in_ns));
    loop_.after(arrives - loop_.now_ns(),
                [self = shared_from_this(), to, bytes = std::move(bytes)] {
                  if (!self->whole_)
                    return;
                  if (const auto heard = self->at(to).bytes)
                    heard(bytes);
                });
  }

 private:
  [[nodiscard]] ears& at(end which) noexcept { return ears_[static_cast<std::size_t>(which)]; }

  event_loop& loop_;
  random_stream& random_;
  ears ears_[2];
  std::uint64_t arrives_ns_[2] = {0, 0};
  bool whole_ = true;
};

} // namespace lance::sim
