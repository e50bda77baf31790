// Finds a server that answers among those configured. Shared by everything of this library that
// holds a connection: each part has a connector of its own. One thread at a time.
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "client/backoff.hpp"
#include "client/channel.hpp"
#include "client/connection.hpp"

namespace lance::client {

using dialer =
    std::function<outcome<std::unique_ptr<transport>>(const endpoint& where, deadline until)>;

struct connection_options {
  std::vector<endpoint> servers{{"127.0.0.1", default_port}};
  /// Per server tried.
  std::chrono::milliseconds connect_timeout{10'000};
  /// From a request to its answer, reconnects included.
  std::chrono::milliseconds request_timeout{30'000};
  backoff_options retry;
  /// Shown on every connection before anything else; empty: none is.
  std::string token = {};
  dialer dial = &client::dial; ///< the seam for tests and for encrypted streams
};

class connector {
 public:
  explicit connector(const connection_options& options);

  /// Tries each server once, the last good one first. The failure is the last server's. Blocks.
  [[nodiscard]] outcome<std::unique_ptr<channel>> connect(deadline until);

  /// Begin with this one next time: a server named it as the leader. Text as in NOT_LEADER replies;
  /// ignored when it is no address.
  void prefer(std::string_view address);

  /// The next connect() begins with the server after the current one.
  void skip() noexcept;

 private:
  connection_options options_;
  [[nodiscard]] outcome<> authenticate(channel& line, deadline until) const;
  std::vector<endpoint> servers_; ///< rotated: the one to try first is at current_
  std::size_t current_ = 0;
};

} // namespace lance::client
