// A file that is a vector, for tests of what only reads.
#pragma once

#include <cstring>
#include <vector>

#include "storage/file.hpp"

namespace lance::storage::testing {

class memory_file final : public file {
 public:
  std::vector<std::byte> bytes;

  void write(write_request& request) override {
    for (const auto& part : request.parts)
      (void)write_now(part.position, part.data);
    request.parts_written();
    request.written({});
  }
  void read(read_request& request) override {
    request.read_done(read_now(request.position, request.into));
  }
  result<> allocate(std::uint64_t size) override {
    if (size > bytes.size())
      bytes.resize(size);
    return {};
  }
  result<> truncate(std::uint64_t size) override {
    bytes.resize(size);
    return {};
  }
  result<std::uint64_t> size() override { return bytes.size(); }
  result<> sync() override { return {}; }
  result<> forget_cached() override { return {}; }
  void set_read_ahead(bool) noexcept override {}
  result<std::size_t> read_now(std::uint64_t position, byte_span into) override {
    if (position >= bytes.size())
      return 0U;
    const auto some = std::min<std::size_t>(into.size(), bytes.size() - position);
    std::memcpy(into.data(), bytes.data() + position, some);
    return some;
  }
  result<> write_now(std::uint64_t position, byte_view data) override {
    if (position + data.size() > bytes.size())
      bytes.resize(position + data.size());
    std::memcpy(bytes.data() + position, data.data(), data.size());
    return {};
  }
  result<std::uint64_t> next_data(std::uint64_t position) override {
    return std::min<std::uint64_t>(position, bytes.size());
  }
};

} // namespace lance::storage::testing
