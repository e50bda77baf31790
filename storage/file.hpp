// The door to the disk: files that are written and read without waiting, and the slow deeds around
// them. Forms: posix_disk (system calls, with or without a helper thread, and io_uring when it is
// given a ring) and a simulated one in the tests that forgets unsynced bytes.
//
// Threads: write() and read() belong to the thread of the disk's ring or blocking_thread (the I/O
// lane), and completions are called there. Members marked cold block and may be called on any
// thread, one at a time per file, also beside writes and reads under way.
#pragma once

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "runtime/buffer_pool.hpp"
#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::storage {

/// What a file implementation keeps with a request between uses; made by the first file that sees
/// the request, so that steady state allocates nothing.
class request_scratch {
 public:
  virtual ~request_scratch() = default;
};

/// `pool` names the (registered) pool the bytes lie in, or null.
struct write_part {
  std::uint64_t position = 0;
  byte_view data;
  const runtime::buffer_pool* pool = nullptr;
};

/// One write, owned and kept alive by the caller until written(). The bytes of the parts stay where
/// they are until then. Starting it again from within written() is fine. A request is used with
/// files of one disk only.
class write_request {
 public:
  /// All parts are written, in any order, before the flush starts. May be empty with `flush`.
  std::vector<write_part> parts;
  /// Make the parts, and all that was written to the file before, durable (data and size).
  bool flush = false;

  /// All parts have been taken by the device; the flush (if any) is under way or already over.
  virtual void parts_written() {}
  /// The end of it. On success with `flush` the bytes are durable, but the file's directory entry
  /// only if its directory was synced. Errors: io_failed with errno (ENOSPC: nothing promised about
  /// the parts, the file is otherwise well; anything else: never trust this descriptor's flush
  /// again).
  virtual void written(result<> outcome) = 0;

  /// The file's own.
  std::unique_ptr<request_scratch> scratch;

 protected:
  ~write_request() = default;
};

/// One read, owned and kept alive by the caller until read_done(). With a direct file, position,
/// length and memory are multiples of block_bytes.
class read_request {
 public:
  std::uint64_t position = 0;
  byte_span into;
  const runtime::buffer_pool* pool = nullptr;

  /// Bytes read: fewer than asked only where the file ends. Errors: io_failed with errno.
  virtual void read_done(result<std::size_t> outcome) = 0;

  std::unique_ptr<request_scratch> scratch;

 protected:
  ~read_request() = default;
};

/// An open file. Destroyed only when nothing is under way. It stays the same file when it is
/// renamed or removed meanwhile.
class file {
 public:
  virtual ~file() = default;

  /// Starts (or, in the simplest form, does) the write; may complete before it returns.
  virtual void write(write_request& request) = 0;
  virtual void read(read_request& request) = 0;

  /// Cold. Makes the file `bytes` long with space for all of it, keeping what is there; new bytes
  /// are zero. After success a write below `bytes` does not fail for want of space, where the file
  /// system can promise that. Errors: io_failed (ENOSPC).
  virtual result<> allocate(std::uint64_t bytes) = 0;
  /// Cold. Sets the size; bytes cut off are gone, bytes added are zero. Not durable until sync().
  virtual result<> truncate(std::uint64_t bytes) = 0;
  /// Cold.
  virtual result<std::uint64_t> size() = 0;
  /// Cold. Data and size are durable on return.
  virtual result<> sync() = 0;
  /// Cold; a buffered file. Syncs, then lets go of what the system keeps of the file in memory:
  /// reads come from the device from here on. After a failed flush the memory may hold bytes that
  /// the device never got, and that the system takes for written.
  virtual result<> forget_cached() = 0;
  /// A buffered file. Without, reads bring what is asked for and nothing ahead of it, so that how
  /// much the device does at a time is the caller's to say: the system reads up to some MiB ahead
  /// on its own account. With, as a file is opened, it is as fast as it gets. Any number of times:
  /// what changes nothing costs nothing.
  virtual void set_read_ahead(bool wanted) noexcept = 0;
  /// Cold; a buffered file. Fewer bytes than asked only where the file ends.
  virtual result<std::size_t> read_now(std::uint64_t position, byte_span into) = 0;
  /// Cold; a buffered file. All of it or an error.
  virtual result<> write_now(std::uint64_t position, byte_view data) = 0;
  /// Cold. The first position at or after `position` that may hold something else than zero; the
  /// file's size if there is none. Skips holes without reading them where the system can.
  virtual result<std::uint64_t> next_data(std::uint64_t position) = 0;
};

/// A file's bytes as they are while this lives: mapped by the real disk, read by the simulated one.
class mapping {
 public:
  virtual ~mapping() = default;
  [[nodiscard]] virtual byte_view bytes() const noexcept = 0;
  /// The device could not give some of what was looked at: that was zeros.
  [[nodiscard]] virtual bool failed() const noexcept { return false; }
};

/// Held while it lives; the kernel drops it when the process ends.
class file_lock {
 public:
  virtual ~file_lock() = default;
};

struct open_options {
  bool create = false; ///< make it when missing (an existing one is opened as it is)
  bool direct = false; ///< O_DIRECT where the file system can; else buffered
  bool read_only = false;
};

/// What a file system has for us: `free` of `total` bytes. What is kept back for others (the root
/// user's share) is in neither.
struct disk_space {
  std::uint64_t total_bytes = 0;
  std::uint64_t free_bytes = 0;

  friend bool operator==(const disk_space&, const disk_space&) = default;
};

/// The deed failed because the disk, or our share of it, is full: it may succeed later.
[[nodiscard]] inline bool no_space(const error& why) noexcept {
  return why.system == ENOSPC || why.system == EDQUOT;
}

/// All members are cold; any thread. Paths are as the process sees them.
class disk {
 public:
  virtual ~disk() = default;

  /// Errors: io_failed (ENOENT, EMFILE, ...).
  virtual result<std::unique_ptr<file>> open(const std::string& path, const open_options& how) = 0;
  /// Atomic; replaces `to`. Durable after sync_directory() of the directories involved.
  virtual result<> rename(const std::string& from, const std::string& to) = 0;
  virtual result<> remove(const std::string& path) = 0;
  /// An empty directory.
  virtual result<> remove_directory(const std::string& path) = 0;
  /// Names (not paths) in a directory, sorted, without "." and "..".
  virtual result<std::vector<std::string>> list(const std::string& directory) = 0;
  [[nodiscard]] virtual bool exists(const std::string& path) = 0;
  /// How many names the file has: more than one when a backup shares it by a hard link. Forms that
  /// know no links leave it.
  virtual result<std::uint64_t> name_count(const std::string&) { return 1; }
  /// Makes what is missing of the path, each new name durable in its parent on return.
  virtual result<> make_directories(const std::string& path) = 0;
  /// Names made, changed or removed in it are durable on return.
  virtual result<> sync_directory(const std::string& directory) = 0;
  /// Of the file system that `directory` lies in.
  virtual result<disk_space> space(const std::string& directory) = 0;
  virtual result<std::unique_ptr<mapping>> map(const std::string& path) = 0;
  /// Takes an exclusive lock on the file, made when missing, without waiting. Errors: io_failed
  /// with EWOULDBLOCK when another process (or this one) holds it.
  virtual result<std::unique_ptr<file_lock>> lock(const std::string& path) = 0;
};

} // namespace lance::storage
