// How many bytes of reads may be on their way from the disk at one time, so that readers who catch
// up do not make writers wait. Watches how long commits take: as long as they take about what they
// take beside a single read, reads get more; when they take clearly longer, half. What that is, is
// measured when somebody begins to write and now and then again. With nobody writing, all.
//
// Commits are compared with commits of about their size: a large one is slow by nature.
//
// And while a commit is on its way no read begins: a producer that leaves the disk idle at times
// has it to itself, and readers have the rest. Where commits follow each other without a gap, one
// of few lets a read at a time through.
//
// Pure and deterministic: samples and time go in. One per shard, on the poller's thread.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "runtime/types.hpp"

namespace lance::storage {

struct read_bounds {
  std::uint64_t piece_bytes = 256 * KiB; ///< one read: never less than this
  std::uint64_t most_bytes = 2 * MiB;    ///< with nobody writing
};

class read_budget {
 public:
  explicit read_budget(read_bounds bounds) noexcept
      : bounds_(bounds), allowed_bytes_(bounds.most_bytes) {}

  /// A commit is on its way to the disk; commit_ended() follows, whatever comes of it.
  void commit_began() noexcept { ++under_way_; }
  void commit_ended() noexcept;
  /// A commit group of so many bytes was written (and flushed) in `took_ns`.
  void committed(std::uint64_t now_ns, std::uint64_t bytes, std::uint64_t took_ns) noexcept;
  /// Time goes on; call every options::tick_ns or so. `pending`: commits are on their way.
  void tick(std::uint64_t now_ns, bool pending) noexcept;

  [[nodiscard]] std::uint64_t allowed_bytes() const noexcept { return allowed_bytes_; }
  [[nodiscard]] bool somebody_writes() const noexcept { return somebody_writes_ || under_way_ > 0; }
  /// Reads of a piece each. 0: none begins now.
  [[nodiscard]] std::uint32_t allowed_reads() const noexcept;

 private:
  /// What commits of about one size take: typically of late, and beside one read.
  struct experience {
    std::uint64_t typical_ns = 0; // 0: none yet
    std::uint64_t best_ns = 0;
    std::uint32_t probed = 0; // commits since the probe under way began
    void learn(std::uint64_t took_ns) noexcept;
    [[nodiscard]] bool fast() const noexcept { return typical_ns < best_ns + best_ns / 4; }
    [[nodiscard]] bool slow() const noexcept { return typical_ns > best_ns + best_ns / 2; }
  };
  void judge() noexcept;
  void begin_probe() noexcept;
  void end_probe() noexcept;

  // Up to 4 KiB, then doubling; the last one takes what is larger.
  static constexpr std::size_t sizes = 12;

  read_bounds bounds_;
  std::uint64_t allowed_bytes_;
  std::array<experience, sizes> of_size_;
  std::uint64_t last_commit_ns_ = 0;
  std::uint32_t seen_ = 0, fast_ = 0, slow_ = 0; // commits since the last judgement
  std::uint32_t judgements_ = 0;                 // since the last probe ended, or in it
  std::uint64_t after_probe_bytes_ = 0;
  std::uint32_t under_way_ = 0; // commits
  std::uint32_t gapless_ = 0;   // commits that ended while others were under way, in a row
  bool let_through_ = false;    // reads, although a commit is under way
  bool probing_ = false;
  bool somebody_writes_ = false;
};

} // namespace lance::storage
