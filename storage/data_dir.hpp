// The data directory: one process at a time, and who this node is. Opening it is the first thing
// the server does with the disk. Blocks; used at start, on the main thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "runtime/types.hpp"
#include "storage/file.hpp"

namespace lance::storage {

/// node.json. A wiped directory gets a new node_uuid, so it can never speak for the old one.
struct node_identity {
  node_id id;
  std::string cluster_uuid; ///< empty until the node belongs to a cluster
  std::string node_uuid;
  std::uint64_t incarnation = 0; ///< starts of this node on this directory, from 1

  friend bool operator==(const node_identity&, const node_identity&) = default;
};

/// Text of node.json, and back. Errors: bad_format; unsupported for a format version other than
/// data_format_version.
inline constexpr std::uint64_t data_format_version = 1;
[[nodiscard]] std::string to_json(const node_identity& identity);
[[nodiscard]] result<node_identity> identity_from_json(std::string_view text);

/// Holds the lock while it lives.
class data_dir {
 public:
  /// Makes the directory when missing, takes the lock, reads node.json or writes `fresh` into it,
  /// counts the incarnation up and writes that durably. Never deletes anything but reserves (the
  /// ballast, spares), and those only when the disk is too full to write node.json. On an error
  /// `explanation` is a sentence for the operator. Errors: closed (another process holds it),
  /// unsupported (unknown format version), bad_format (damaged node.json), invalid_request (the
  /// directory belongs to another node id), io_failed.
  static result<std::unique_ptr<data_dir>>
  open(disk& door, const std::string& path, const node_identity& fresh, std::string& explanation);

  [[nodiscard]] const std::string& path() const noexcept { return path_; }
  [[nodiscard]] const node_identity& identity() const noexcept { return identity_; }
  [[nodiscard]] std::string quarantine() const;
  [[nodiscard]] std::string log_directory(std::string_view topic, std::uint32_t partition) const;
  /// Durable on return.
  result<> set_cluster_uuid(const std::string& uuid);

  /// Takes the directory of a whole log (or topic) out of sight by renaming it into trash/, then
  /// deletes it. After a crash in between, open() deletes the rest. The log must be closed.
  result<> remove_directory(const std::string& directory);
  /// Moves what lies under segments/ for no topic of `known` into the quarantine, where no new
  /// topic of the same name takes it for its own: what a deletion left that a crash cut short, or
  /// logs whose topic was lost. Empty directories stay. Returns where each lies now; durable on
  /// return.
  [[nodiscard]] result<std::vector<std::string>>
  set_aside_unknown(std::span<const std::string> known);

 private:
  data_dir(disk& door, std::string path) : door_(door), path_(std::move(path)) {}
  result<> store();
  result<> empty_trash();

  disk& door_;
  std::string path_;
  std::unique_ptr<file_lock> lock_;
  node_identity identity_;
};

/// Writes a small file so that after a crash either the old or the new content is there: temporary
/// name, sync, rename, directory sync. Durable on return. Blocks.
result<> write_file_atomically(disk& door, const std::string& path, byte_view content);
/// Reads a whole small file. Errors: io_failed, too_large above `limit_bytes`. Blocks.
[[nodiscard]] result<std::string> read_small_file(disk& door, const std::string& path,
                                                  std::uint64_t limit_bytes);

} // namespace lance::storage
