#include "runtime/uring.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <ctime>

#include <liburing.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "runtime/check.hpp"
#include "runtime/types.hpp"

namespace lance::runtime {

namespace {

constexpr unsigned lazy_flags =
    IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_TASKRUN_FLAG;

bool try_ring(unsigned flags, int& refusal) noexcept {
  io_uring ring{};
  io_uring_params params{};
  params.flags = flags;
  const int made = ::io_uring_queue_init_params(4, &ring, &params);
  if (made != 0) {
    refusal = -made;
    return false;
  }
  auto* entry = ::io_uring_get_sqe(&ring);
  ::io_uring_prep_nop(entry);
  ::io_uring_sqe_set_data64(entry, 7);
  io_uring_cqe* done = nullptr;
  const int entered = ::io_uring_submit_and_wait(&ring, 1);
  const bool works = entered >= 0 && ::io_uring_peek_cqe(&ring, &done) == 0 && done->user_data == 7;
  if (!works)
    refusal = entered < 0 ? -entered : EINVAL;
  ::io_uring_queue_exit(&ring);
  return works;
}

bool try_registering(int& refusal) noexcept {
  io_uring ring{};
  if (const int made = ::io_uring_queue_init(4, &ring, 0); made != 0) {
    refusal = -made;
    return false;
  }
  // The size that a small broker registers: what a 64 KiB memlock limit refuses.
  constexpr std::size_t bytes = 1 * MiB;
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (memory == MAP_FAILED) {
    refusal = ENOMEM;
    ::io_uring_queue_exit(&ring);
    return false;
  }
  const iovec range{memory, bytes};
  const int registered = ::io_uring_register_buffers(&ring, &range, 1);
  refusal = -registered;
  ::io_uring_queue_exit(&ring);
  ::munmap(memory, bytes);
  return registered == 0;
}

} // namespace

struct uring::ring {
  io_uring raw{};
  struct group {
    io_uring_buf_ring* entries = nullptr;
    std::uint32_t count = 0;
    std::size_t mapped_bytes = 0;
    int unpublished = 0;
  };
  std::array<group, 4> groups{}; // one receive group today; a few more cost nothing
};

struct uring::wake_operation final : operation {
  explicit wake_operation(uring& home) : home_(home) {}
  void complete(std::int32_t, bool) override { home_.arm_wake(); }
  uring& home_;
};

uring_capabilities probe_uring() noexcept {
  uring_capabilities found;
  found.available = try_ring(0, found.refusal);
  if (!found.available)
    return found;
  int ignored = 0;
  found.single_issuer = try_ring(lazy_flags, ignored);
  found.registered_buffers = try_registering(found.registered_refusal);
  if (auto* probe = ::io_uring_get_probe(); probe != nullptr) {
    // Multishot accept came with socket (5.19), multishot receive with zero-copy send (6.0).
    found.multishot_accept = ::io_uring_opcode_supported(probe, IORING_OP_SOCKET) != 0;
    found.multishot_receive = ::io_uring_opcode_supported(probe, IORING_OP_SEND_ZC) != 0;
    ::io_uring_free_probe(probe);
  }
  return found;
}

std::optional<std::vector<std::string>> missing_uring_operations() {
  constexpr std::array<std::pair<int, const char*>, 10> used{
      {{IORING_OP_NOP, "nop"},
       {IORING_OP_READ, "read"},
       {IORING_OP_WRITE, "write"},
       {IORING_OP_READ_FIXED, "read_fixed"},
       {IORING_OP_WRITE_FIXED, "write_fixed"},
       {IORING_OP_FSYNC, "fsync"},
       {IORING_OP_ACCEPT, "accept"},
       {IORING_OP_RECV, "recv"},
       {IORING_OP_SEND, "send"},
       {IORING_OP_ASYNC_CANCEL, "async_cancel"}}};
  auto* probe = ::io_uring_get_probe();
  if (probe == nullptr)
    return std::nullopt;
  std::vector<std::string> missing;
  for (const auto& [operation, name] : used)
    if (::io_uring_opcode_supported(probe, operation) == 0)
      missing.emplace_back(name);
  ::io_uring_free_probe(probe);
  return missing;
}

uring::uring(const uring_capabilities& capabilities)
    : capabilities_(capabilities), ring_(std::make_unique<ring>()),
      wake_operation_(std::make_unique<wake_operation>(*this)) {}

result<std::unique_ptr<uring>> uring::make(const uring_capabilities& capabilities,
                                           const uring_options& options) {
  std::unique_ptr<uring> made{new uring(capabilities)};
  io_uring_params params{};
  params.flags = IORING_SETUP_CLAMP | (capabilities.single_issuer ? lazy_flags : 0);
  if (const int error =
          ::io_uring_queue_init_params(options.submission_depth, &made->ring_->raw, &params);
      error != 0) {
    made->ring_.reset();
    return fail(errc::io_failed, -error);
  }
  ::io_uring_register_ring_fd(&made->ring_->raw); // a saving per enter; refusal changes nothing
  made->wake_event_ = ::eventfd(0, EFD_CLOEXEC);
  if (made->wake_event_ < 0)
    return fail(errc::io_failed, errno);
  made->arm_wake();
  return made;
}

uring::~uring() {
  if (ring_ != nullptr) {
    ::io_uring_queue_exit(&ring_->raw);
    for (auto& group : ring_->groups)
      if (group.entries != nullptr)
        ::munmap(group.entries, group.mapped_bytes);
  }
  if (wake_event_ >= 0)
    ::close(wake_event_);
}

result<> uring::register_pool(buffer_pool& pool) {
  // Pools are registered one by one into a sparse table, so that a refusal of one (memlock) leaves
  // the others registered.
  constexpr unsigned table_size = 256; // two per shard, and more shards than a machine has lanes
  if (registered_ == 0) {
    if (const int error = ::io_uring_register_buffers_sparse(&ring_->raw, table_size); error != 0)
      return fail(errc::io_failed, -error);
  }
  if (registered_ == static_cast<int>(table_size))
    return fail(errc::exhausted);
  const auto memory = pool.memory();
  if (memory.size() > 1 * GiB) // the kernel's limit for one fixed buffer
    return fail(errc::too_large);
  const iovec range{memory.data(), memory.size()};
  const __u64 tag = 0;
  const int updated = ::io_uring_register_buffers_update_tag(
      &ring_->raw, static_cast<unsigned>(registered_), &range, &tag, 1);
  if (updated < 0)
    return fail(errc::io_failed, -updated);
  pool.set_registered_index(registered_++);
  return {};
}

namespace {

io_uring_sqe* next_entry(io_uring& raw, std::uint64_t& enters, operation* done) noexcept {
  auto* entry = ::io_uring_get_sqe(&raw);
  while (entry == nullptr) { // the submission ring is full: make room
    ++enters;
    ::io_uring_submit(&raw);
    entry = ::io_uring_get_sqe(&raw);
  }
  ::io_uring_sqe_set_data(entry, done);
  return entry;
}

// io_uring_prep_* overwrite user_data in no version we support, but setting it after is the
// documented order.
void own(io_uring_sqe* entry, operation& done) noexcept {
  ::io_uring_sqe_set_data(entry, &done);
}

unsigned length_of(byte_view data) noexcept {
  LANCE_CHECK(data.size() <= 1U << 30, data.size());
  return static_cast<unsigned>(data.size());
}

} // namespace

void uring::write(operation& done, int file, byte_view data, std::uint64_t position,
                  const buffer_pool* pool, bool link) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  if (pool != nullptr && pool->registered_index() >= 0)
    ::io_uring_prep_write_fixed(entry, file, data.data(), length_of(data), position,
                                pool->registered_index());
  else
    ::io_uring_prep_write(entry, file, data.data(), length_of(data), position);
  if (link)
    entry->flags |= IOSQE_IO_LINK;
  own(entry, done);
}

void uring::write(operation& done, int file, std::span<const iovec> pieces, std::uint64_t position,
                  bool link) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  ::io_uring_prep_writev(entry, file, pieces.data(), static_cast<unsigned>(pieces.size()),
                         position);
  if (link)
    entry->flags |= IOSQE_IO_LINK;
  own(entry, done);
}

void uring::read(operation& done, int file, byte_span into, std::uint64_t position,
                 const buffer_pool* pool) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  if (pool != nullptr && pool->registered_index() >= 0)
    ::io_uring_prep_read_fixed(entry, file, into.data(), length_of(into), position,
                               pool->registered_index());
  else
    ::io_uring_prep_read(entry, file, into.data(), length_of(into), position);
  own(entry, done);
}

void uring::flush(operation& done, int file) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  ::io_uring_prep_fsync(entry, file, IORING_FSYNC_DATASYNC);
  own(entry, done);
}

void uring::accept(operation& done, int listener) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  if (capabilities_.multishot_accept)
    ::io_uring_prep_multishot_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
  else
    ::io_uring_prep_accept(entry, listener, nullptr, nullptr, SOCK_CLOEXEC);
  own(entry, done);
}

void uring::receive(operation& done, int socket, byte_span into) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  ::io_uring_prep_recv(entry, socket, into.data(), into.size(), 0);
  own(entry, done);
}

void uring::receive_provided(operation& done, int socket, std::uint16_t group, bool multishot) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  if (multishot)
    ::io_uring_prep_recv_multishot(entry, socket, nullptr, 0, 0);
  else
    ::io_uring_prep_recv(entry, socket, nullptr, 0, 0);
  entry->flags |= IOSQE_BUFFER_SELECT;
  entry->buf_group = group;
  own(entry, done);
}

void uring::send(operation& done, int socket, byte_view data) {
  auto* entry = next_entry(ring_->raw, enters_, &done);
  ::io_uring_prep_send(entry, socket, data.data(), data.size(), MSG_NOSIGNAL | MSG_WAITALL);
  own(entry, done);
}

void uring::cancel(operation& target) {
  auto* entry = next_entry(ring_->raw, enters_, nullptr);
  ::io_uring_prep_cancel(entry, &target, 0);
  ::io_uring_sqe_set_data(entry, nullptr); // its own result is of no interest
}

result<> uring::make_buffer_group(std::uint16_t number, std::uint32_t entries) {
  LANCE_CHECK(number < ring_->groups.size(), number);
  auto& group = ring_->groups[number];
  group.mapped_bytes = align_up(entries * sizeof(io_uring_buf), 4096);
  auto* memory = ::mmap(nullptr, group.mapped_bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
  if (memory == MAP_FAILED)
    return fail(errc::io_failed, errno);
  group.entries = static_cast<io_uring_buf_ring*>(memory);
  group.count = entries;
  io_uring_buf_reg registration{};
  registration.ring_addr = reinterpret_cast<std::uintptr_t>(memory);
  registration.ring_entries = entries;
  registration.bgid = number;
  if (const int error = ::io_uring_register_buf_ring(&ring_->raw, &registration, 0); error != 0)
    return fail(errc::io_failed, -error);
  ::io_uring_buf_ring_init(group.entries);
  return {};
}

void uring::provide(std::uint16_t number, std::uint16_t buffer, byte_span memory) noexcept {
  auto& group = ring_->groups[number];
  ::io_uring_buf_ring_add(group.entries, memory.data(), static_cast<unsigned>(memory.size()),
                          buffer, ::io_uring_buf_ring_mask(group.count), group.unpublished++);
}

void uring::publish_provided(std::uint16_t number) noexcept {
  auto& group = ring_->groups[number];
  if (group.unpublished > 0) {
    ::io_uring_buf_ring_advance(group.entries, group.unpublished);
    group.unpublished = 0;
  }
}

unsigned uring::deliver() {
  unsigned delivered = 0;
  io_uring_cqe* done = nullptr;
  // One by one: complete() may submit, and a full submission ring enters the kernel.
  while (::io_uring_peek_cqe(&ring_->raw, &done) == 0 && done != nullptr) {
    auto* target = static_cast<operation*>(::io_uring_cqe_get_data(done));
    const auto result = done->res;
    const auto flags = done->flags;
    ::io_uring_cqe_seen(&ring_->raw, done);
    if (target == nullptr)
      continue;
    ++delivered;
    last_buffer_ = (flags & IORING_CQE_F_BUFFER) != 0
                       ? static_cast<int>(flags >> IORING_CQE_BUFFER_SHIFT)
                       : -1;
    target->complete(result, (flags & IORING_CQE_F_MORE) != 0);
  }
  last_buffer_ = -1;
  completed_ += delivered;
  return delivered;
}

bool uring::turn() {
  auto& raw = ring_->raw;
  if (const auto pending = ::io_uring_sq_ready(&raw); pending > 0) {
    ++enters_;
    submitted_ += pending;
    ::io_uring_submit_and_get_events(&raw);
  } else if ((__atomic_load_n(raw.sq.kflags, __ATOMIC_RELAXED) &
              (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0) {
    ++enters_; // the kernel says that it holds completions back until we enter
    ::io_uring_get_events(&raw);
  }
  return deliver() > 0;
}

void uring::wait(std::uint64_t timeout_ns) {
  auto& raw = ring_->raw;
  __kernel_timespec limit{};
  limit.tv_sec = static_cast<long long>(timeout_ns / s_in_ns);
  limit.tv_nsec = static_cast<long long>(timeout_ns % s_in_ns);
  io_uring_cqe* ignored = nullptr;
  submitted_ += ::io_uring_sq_ready(&raw);
  ++enters_;
  ::io_uring_submit_and_wait_timeout(&raw, &ignored, 1, &limit, nullptr);
}

void uring::wake() noexcept {
  const std::uint64_t one = 1;
  // A full counter (2^64 - 1 unread wakes) cannot happen; a failure has no remedy here.
  [[maybe_unused]] const auto written = ::write(wake_event_, &one, sizeof one);
}

bool uring::ready() const noexcept {
  auto& raw = ring_->raw;
  return ::io_uring_sq_ready(&raw) > 0 || ::io_uring_cq_ready(&raw) > 0 ||
         (__atomic_load_n(raw.sq.kflags, __ATOMIC_RELAXED) &
          (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) != 0;
}

void uring::arm_wake() {
  auto* entry = next_entry(ring_->raw, enters_, wake_operation_.get());
  ::io_uring_prep_read(entry, wake_event_, &wake_value_, sizeof wake_value_, 0);
  own(entry, *wake_operation_);
}

} // namespace lance::runtime
