#include "storage/posix_file.hpp"

#include <array>
#include <cerrno>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "runtime/check.hpp"
#include "storage/options.hpp"

namespace lance::storage {

namespace {

constexpr std::size_t vector_parts = 64; // parts of one call; far below IOV_MAX

result<> from_return(int returned) noexcept {
  if (returned != 0)
    return fail(errc::io_failed, errno);
  return {};
}

result<> write_all(int descriptor, bool direct, std::uint64_t position, byte_view data) noexcept {
  while (!data.empty()) {
    const auto written =
        ::pwrite(descriptor, data.data(), data.size(), static_cast<off_t>(position));
    if (written < 0 && errno == EINTR)
      continue;
    if (written <= 0)
      return fail(errc::io_failed, written < 0 ? errno : EIO);
    auto some = static_cast<std::uint64_t>(written);
    if (direct && some < data.size()) // go on where O_DIRECT can
      some = align_down(some, block_bytes);
    if (some == 0)
      return fail(errc::io_failed, EIO);
    position += some;
    data = data.subspan(some);
  }
  return {};
}

// Parts that lie one behind the other in the file go in one call.
std::size_t adjoining(const std::vector<write_part>& parts, std::size_t from) noexcept {
  std::size_t count = 1;
  while (from + count < parts.size() && count < vector_parts &&
         parts[from + count].position ==
             parts[from + count - 1].position + parts[from + count - 1].data.size())
    ++count;
  return count;
}

result<> write_together(int descriptor, bool direct, std::span<const write_part> parts) noexcept {
  std::array<iovec, vector_parts> vectors;
  std::size_t total = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    vectors[i] = {const_cast<std::byte*>(parts[i].data.data()), parts[i].data.size()};
    total += parts[i].data.size();
  }
  const auto written = ::pwritev2(descriptor, vectors.data(), static_cast<int>(parts.size()),
                                  static_cast<off_t>(parts[0].position), 0);
  if (written < 0 && errno != EINTR)
    return fail(errc::io_failed, errno);
  auto skip = written < 0 ? 0 : static_cast<std::size_t>(written);
  if (skip == total)
    return {};
  if (direct)
    skip = align_down(skip, block_bytes);
  for (const auto& part : parts) { // short: the rest part by part
    const auto done = std::min(skip, part.data.size());
    skip -= done;
    if (const auto rest =
            write_all(descriptor, direct, part.position + done, part.data.subspan(done));
        !rest)
      return rest;
  }
  return {};
}

result<> write_parts(int descriptor, bool direct, const std::vector<write_part>& parts) noexcept {
  for (std::size_t i = 0; i < parts.size();) {
    const auto count = adjoining(parts, i);
    if (const auto written = write_together(descriptor, direct, {&parts[i], count}); !written)
      return written;
    i += count;
  }
  return {};
}

result<std::size_t> read_all(int descriptor, bool direct, std::uint64_t position,
                             byte_span into) noexcept {
  std::size_t done = 0;
  while (done < into.size()) {
    const auto got = ::pread(descriptor, into.data() + done, into.size() - done,
                             static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      return fail(errc::io_failed, errno);
    done += static_cast<std::size_t>(got);
    if (got == 0 || (direct && done % block_bytes != 0)) // the end of the file
      break;
  }
  return done;
}

// A write on its way through the helper thread.
struct write_job final : request_scratch, runtime::blocking_job {
  void run() override {
    outcome = write_parts(descriptor, direct, request->parts);
    if (outcome && request->flush)
      flushed = from_return(::fdatasync(descriptor));
  }
  void finish() override {
    if (!outcome)
      return request->written(outcome);
    request->parts_written();
    request->written(flushed);
  }

  int descriptor = -1;
  bool direct = false;
  write_request* request = nullptr;
  result<> outcome;
  result<> flushed;
};

struct read_job final : request_scratch, runtime::blocking_job {
  void run() override { outcome = read_all(descriptor, direct, request->position, request->into); }
  void finish() override { request->read_done(outcome); }

  int descriptor = -1;
  bool direct = false;
  read_request* request = nullptr;
  result<std::size_t> outcome;
};

template <class Job, class Request>
Job& job_of(Request& request, int descriptor, bool direct) {
  if (request.scratch == nullptr)
    request.scratch = std::make_unique<Job>();
  auto* job = dynamic_cast<Job*>(request.scratch.get());
  LANCE_CHECK(job != nullptr);
  job->descriptor = descriptor;
  job->direct = direct;
  job->request = &request;
  return *job;
}

} // namespace

posix_file::~posix_file() {
  ::close(descriptor_);
}

void posix_file::write(write_request& request) {
  if (helper_ != nullptr) {
    auto& job = job_of<write_job>(request, descriptor_, direct_);
    job.flushed = {};
    return helper_->submit(job);
  }
  if (const auto outcome = write_parts(descriptor_, direct_, request.parts); !outcome)
    return request.written(outcome);
  request.parts_written();
  request.written(request.flush ? from_return(::fdatasync(descriptor_)) : result<>{});
}

void posix_file::read(read_request& request) {
  if (helper_ != nullptr)
    return helper_->submit(job_of<read_job>(request, descriptor_, direct_));
  request.read_done(read_all(descriptor_, direct_, request.position, request.into));
}

result<> posix_file::allocate(std::uint64_t bytes) {
  const auto before = size();
  if (!before)
    return tl::unexpected(before.error());
  if (*before >= bytes)
    return {};
  if (::fallocate(descriptor_, 0, 0, static_cast<off_t>(bytes)) == 0)
    return {};
  const int error = errno;
  if (error == EOPNOTSUPP) // no promise to be had here: the size at least
    return truncate(bytes);
  // What was allocated before the space ran out is given back.
  (void)::ftruncate(descriptor_, static_cast<off_t>(*before));
  return fail(errc::io_failed, error);
}

result<> posix_file::truncate(std::uint64_t bytes) {
  return from_return(::ftruncate(descriptor_, static_cast<off_t>(bytes)));
}

result<std::uint64_t> posix_file::size() {
  struct stat facts {};
  if (::fstat(descriptor_, &facts) != 0)
    return fail(errc::io_failed, errno);
  return static_cast<std::uint64_t>(facts.st_size);
}

result<> posix_file::sync() {
  return from_return(::fsync(descriptor_));
}

result<> posix_file::forget_cached() {
  if (const auto synced = sync(); !synced) // dirty pages are not let go
    return synced;
  const int refused = ::posix_fadvise(descriptor_, 0, 0, POSIX_FADV_DONTNEED);
  return refused == 0 ? result<>{} : fail(errc::io_failed, refused);
}

void posix_file::set_read_ahead(bool wanted) noexcept {
  if (std::exchange(read_ahead_, wanted) != wanted) // refused: only more or less is read
    (void)::posix_fadvise(descriptor_, 0, 0, wanted ? POSIX_FADV_NORMAL : POSIX_FADV_RANDOM);
}

result<std::size_t> posix_file::read_now(std::uint64_t position, byte_span into) {
  return read_all(descriptor_, direct_, position, into);
}

result<> posix_file::write_now(std::uint64_t position, byte_view data) {
  return write_all(descriptor_, direct_, position, data);
}

result<std::uint64_t> posix_file::next_data(std::uint64_t position) {
  const auto found = ::lseek(descriptor_, static_cast<off_t>(position), SEEK_DATA);
  if (found >= 0)
    return static_cast<std::uint64_t>(found);
  if (errno == ENXIO)
    return size();
  if (errno == EINVAL || errno == EOPNOTSUPP)
    return position; // unknown here: look
  return fail(errc::io_failed, errno);
}

} // namespace lance::storage
