// The switchboard: from a configuration to a running node and back. Decides nothing about records;
// knows who is started, on which lane, who knows whom, and in which order all ends.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/load.hpp"
#include "runtime/result.hpp"

namespace lance::actors {

/// Where a running node can be reached; ports as the kernel gave them.
struct bound_addresses {
  std::string lwp;
  std::string peer; ///< empty: this build opens no peer port
  std::string http;
  std::string metrics;
};

/// What only the files themselves can show to be wrong (certificates, keys). Empty: nothing is.
[[nodiscard]] std::string check_files(const config::config& values);

class server {
 public:
  /// Opens the data directory, recovers, starts all actors and listens. Blocks until the node
  /// serves. On an error `explanation` is a sentence for the operator, and nothing runs.
  static result<std::unique_ptr<server>> start(const config::loaded& loaded,
                                               std::string& explanation);
  /// Ends what is left without waiting for anybody; after drain() there is nothing left.
  ~server();
  server(const server&) = delete;
  server& operator=(const server&) = delete;

  [[nodiscard]] const bound_addresses& addresses() const noexcept;
  /// Why the node has to end although nobody asked for it: a SIGTERM to this process comes with it.
  /// Empty when it has not.
  [[nodiscard]] std::string gave_up() const;
  /// Looks for changed certificates, tokens and rules, and shows the load in the metrics; called
  /// every second or so, and `forced` on the operator's word.
  void refresh(bool forced);
  /// Stops accepting, answers what was received, closes the logs. False when `limit_ms` were not
  /// enough for that; what was acknowledged is durable in either case.
  [[nodiscard]] bool drain(std::uint64_t limit_ms);
  /// Waits for all logs to be written and flushed, as far as `limit_ms` go; for SIGQUIT.
  void flush(std::uint64_t limit_ms);

 private:
  struct parts;
  explicit server(std::unique_ptr<parts> made);
  std::unique_ptr<parts> parts_;
};

} // namespace lance::actors
