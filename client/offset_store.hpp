// Where a standalone consumer keeps how far it has read: in memory, or in files laid out as the
// published client's (lwp.md, section 16). Blocks on the disk. One thread at a time per object.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "client/failure.hpp"
#include "runtime/types.hpp"

namespace lance::client {

class offset_store {
 public:
  virtual ~offset_store() = default;
  /// Nothing when none was saved. Errors: io_failed, bad_format.
  [[nodiscard]] virtual outcome<std::optional<byte_offset>> load(log_id log) = 0;
  /// Errors: io_failed.
  [[nodiscard]] virtual outcome<> save(log_id log, byte_offset offset) = 0;
};

/// Forgets with the process.
class memory_offset_store final : public offset_store {
 public:
  [[nodiscard]] outcome<std::optional<byte_offset>> load(log_id log) override;
  [[nodiscard]] outcome<> save(log_id log, byte_offset offset) override;

 private:
  std::map<log_id, byte_offset> offsets_;
};

/// `<directory>/<consumer>/topic-<log>-consumer-<consumer id>.offset`: the offset in decimal digits
/// and a newline. Writers of any process take turns by an exclusive lock on the `.lock` file beside
/// it; a save is durable on return, and a crash leaves the old offset or the new one.
class file_offset_store final : public offset_store {
 public:
  /// Nothing is touched before the first save. Names that are no file name (empty, `.`, `..`, with
  /// a slash or NUL) make every call fail with invalid_name.
  file_offset_store(std::string directory, std::string consumer);

  [[nodiscard]] outcome<std::optional<byte_offset>> load(log_id log) override;
  [[nodiscard]] outcome<> save(log_id log, byte_offset offset) override;

  /// Without extension.
  [[nodiscard]] std::string stem(log_id log) const;

 private:
  [[nodiscard]] outcome<> judge_name() const;

  std::string directory_;
  std::string consumer_;
};

} // namespace lance::client
