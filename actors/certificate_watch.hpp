// Keeps the certificates of the client port fresh: looks at their files now and then, and puts
// changed ones in place for the connections that come. What cannot be used changes nothing: the old
// ones stay, a line in the log and a counter say so.
//
// One thread (the main one).
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "actors/file_stamp.hpp"
#include "actors/tls_source.hpp"
#include "config/config.hpp"
#include "runtime/metrics.hpp"
#include "runtime/result.hpp"

namespace lance::actors {

class certificate_watch {
 public:
  /// Reads the certificates for the first time. Null and no error when `tls` asks for no TLS.
  /// Errors: bad_config, with a sentence in `why`.
  static result<std::unique_ptr<certificate_watch>> make(const config::tls_section& tls,
                                                         std::int64_t now_s, std::string& why);

  /// Looks whether the files have changed since they were last read (or, `forced`, takes them for
  /// changed). Blocks for reading small files.
  void look(std::int64_t now_s, bool forced, runtime::metric_set& metrics);

  [[nodiscard]] const tls_source& source() const noexcept { return source_; }

 private:
  using stamps = std::array<file_stamp, 3>;

  certificate_watch(const runtime::tls_server_settings& settings,
                    std::shared_ptr<const runtime::tls_context> first);
  [[nodiscard]] stamps read_stamps() const;

  runtime::tls_server_settings settings_;
  tls_source source_;
  stamps seen_;
};

/// True when the section asks for encryption.
[[nodiscard]] bool wants_tls(const config::tls_section& section) noexcept;

} // namespace lance::actors
