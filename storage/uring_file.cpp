#include "storage/uring_file.hpp"

#include <algorithm>
#include <cerrno>
#include <deque>
#include <vector>

#include "runtime/check.hpp"
#include "storage/options.hpp"

namespace lance::storage {

namespace {

// What of a short transfer counts: with O_DIRECT the rest must begin on a block.
std::uint64_t counted(std::uint64_t bytes, bool direct) noexcept {
  return direct ? align_down(bytes, block_bytes) : bytes;
}

// One write request on its way: its parts as one write, and the flush linked behind it, so that the
// device goes from one to the other without us. What of the parts a short write leaves follows part
// by part; whenever the link may not have held (a short write, a chain cut by a full submission
// ring) the flush is done again, after the parts. Parts that do not follow each other in the file
// go side by side.
class uring_write final : public request_scratch {
 public:
  void start(runtime::uring& ring, int descriptor, bool direct, write_request& request) {
    LANCE_CHECK(request_ == nullptr); // one use at a time
    ring_ = &ring;
    descriptor_ = descriptor;
    direct_ = direct;
    request_ = &request;
    failure_ = 0;
    under_way_ = 1; // held until all is submitted
    reported_ = flushed_ = false;
    const bool together = gather(request);
    const bool linked = request.flush && (together || request.parts.size() == 1);
    while (parts_.size() < request.parts.size())
      parts_.emplace_back(*this, parts_.size());
    const auto enters = ring.enters();
    for (std::size_t i = 0; i < request.parts.size(); ++i) {
      parts_[i].done = 0;
      if (!together)
        submit(i, linked);
    }
    parts_left_ = request.parts.size();
    if (together) {
      ++under_way_;
      ring.write(all_, descriptor, pieces_, request.parts.front().position, linked);
    }
    if (linked)
      submit_flush();
    flush_counts_ = ring.enters() == enters;
    --under_way_;
    advance();
  }

 private:
  struct part_operation final : runtime::operation {
    part_operation(uring_write& owner, std::size_t number) : home(owner), index(number) {}
    void complete(std::int32_t result, bool) override { home.part_done(index, result); }
    uring_write& home;
    std::size_t index;
    std::uint64_t done = 0;
  };
  struct flush_operation final : runtime::operation {
    explicit flush_operation(uring_write& owner) : home(owner) {}
    void complete(std::int32_t result, bool) override { home.flush_done(result); }
    uring_write& home;
  };

  struct all_operation final : runtime::operation {
    explicit all_operation(uring_write& owner) : home(owner) {}
    void complete(std::int32_t result, bool) override { home.all_done(result); }
    uring_write& home;
  };

  // Several parts that are one stretch of the file, into pieces_.
  bool gather(const write_request& request) {
    const auto& parts = request.parts;
    if (parts.size() < 2 || parts.size() > pieces_max)
      return false;
    pieces_.clear();
    for (auto place = parts.front().position; const auto& part : parts) {
      if (part.position != place)
        return false;
      place += part.data.size();
      // The kernel only reads from it.
      pieces_.push_back({const_cast<std::byte*>(part.data.data()), part.data.size()});
    }
    return true;
  }

  void submit(std::size_t index, bool linked) {
    const auto& part = request_->parts[index];
    const auto done = parts_[index].done;
    ++under_way_;
    ring_->write(parts_[index], descriptor_, part.data.subspan(done), part.position + done,
                 part.pool, linked);
  }

  void submit_flush() {
    ++under_way_;
    ring_->flush(flush_, descriptor_);
  }

  void part_done(std::size_t index, std::int32_t result) {
    --under_way_;
    const auto size = request_->parts[index].data.size();
    auto& done = parts_[index].done;
    if (result < 0 && result != -EINTR && result != -EAGAIN) {
      fail_with(-result);
    } else {
      if (result > 0)
        done += static_cast<std::uint64_t>(result);
      if (done < size) {
        flush_counts_ = false;
        const auto goes_on_at = counted(done, direct_);
        if (result == 0 || (result > 0 && goes_on_at == 0)) {
          fail_with(EIO); // no progress: it would be asked for ever
        } else {
          done = goes_on_at;
          return submit(index, false);
        }
      }
    }
    --parts_left_;
    advance();
  }

  // What of the whole was written goes to the parts in their order, each of which then ends as if
  // it had gone alone; those that were not reached go now.
  void all_done(std::int32_t result) {
    const bool reaches_all = result <= 0; // the same failure, or no progress
    auto left = static_cast<std::uint64_t>(std::max(result, 0));
    for (std::size_t i = 0; i < request_->parts.size(); ++i) {
      const auto mine = std::min<std::uint64_t>(left, request_->parts[i].data.size());
      left -= mine;
      if (mine == 0 && !reaches_all) {
        flush_counts_ = false;
        submit(i, false);
        continue;
      }
      ++under_way_;
      part_done(i, reaches_all ? result : static_cast<std::int32_t>(mine));
    }
    --under_way_;
    advance();
  }

  void flush_done(std::int32_t result) {
    --under_way_;
    if (result == 0)
      flushed_ = flush_counts_;
    else if (result != -ECANCELED)
      fail_with(-result);
    advance();
  }

  void fail_with(int system) noexcept {
    if (failure_ == 0)
      failure_ = system;
  }

  void advance() {
    if (parts_left_ == 0 && failure_ == 0 && !reported_) {
      reported_ = true;
      request_->parts_written();
    }
    if (under_way_ > 0)
      return;
    if (failure_ == 0 && request_->flush && !flushed_) {
      flush_counts_ = true;
      return submit_flush();
    }
    auto& request = *std::exchange(request_, nullptr);
    if (failure_ != 0)
      request.written(fail(errc::io_failed, failure_));
    else
      request.written({});
  }

  runtime::uring* ring_ = nullptr;
  int descriptor_ = -1;
  bool direct_ = false;
  write_request* request_ = nullptr;
  static constexpr std::size_t pieces_max = 1024; // IOV_MAX
  all_operation all_{*this};
  std::vector<iovec> pieces_;        // of all_
  std::deque<part_operation> parts_; // a deque: the kernel holds their addresses
  flush_operation flush_{*this};
  std::size_t parts_left_ = 0;
  unsigned under_way_ = 0;
  int failure_ = 0;
  bool reported_ = false;
  bool flush_counts_ = true; // a flush done now comes after all parts
  bool flushed_ = false;
};

class uring_read final : public request_scratch, public runtime::operation {
 public:
  void start(runtime::uring& ring, int descriptor, bool direct, read_request& request) {
    ring_ = &ring;
    descriptor_ = descriptor;
    direct_ = direct;
    request_ = &request;
    done_ = 0;
    submit();
  }

  void complete(std::int32_t result, bool) override {
    if (result < 0 && result != -EINTR && result != -EAGAIN)
      return request_->read_done(fail(errc::io_failed, -result));
    if (result > 0)
      done_ += static_cast<std::uint64_t>(result);
    const bool ended = result == 0 || (direct_ && done_ % block_bytes != 0);
    if (ended || done_ == request_->into.size())
      return request_->read_done(done_);
    submit();
  }

 private:
  void submit() {
    ring_->read(*this, descriptor_, request_->into.subspan(done_), request_->position + done_,
                request_->pool);
  }

  runtime::uring* ring_ = nullptr;
  int descriptor_ = -1;
  bool direct_ = false;
  read_request* request_ = nullptr;
  std::size_t done_ = 0;
};

template <class Scratch, class Request>
Scratch& scratch_of(Request& request) {
  if (request.scratch == nullptr)
    request.scratch = std::make_unique<Scratch>();
  auto* scratch = dynamic_cast<Scratch*>(request.scratch.get());
  LANCE_CHECK(scratch != nullptr);
  return *scratch;
}

} // namespace

void uring_file::write(write_request& request) {
  scratch_of<uring_write>(request).start(ring_, descriptor(), direct(), request);
}

void uring_file::read(read_request& request) {
  scratch_of<uring_read>(request).start(ring_, descriptor(), direct(), request);
}

} // namespace lance::storage
