// A disk of a few files in memory, for those who only read.
#pragma once

#include <algorithm>
#include <cerrno>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "tests/storage/memory_file.hpp"

namespace lance::fuzz {

class memory_disk final : public storage::disk {
 public:
  std::map<std::string, std::vector<std::byte>> files;

  result<std::unique_ptr<storage::file>> open(const std::string& path,
                                              const storage::open_options& how) override {
    const auto found = files.find(path);
    if (found == files.end() || !how.read_only)
      return fail(errc::io_failed, found == files.end() ? ENOENT : EROFS);
    auto opened = std::make_unique<storage::testing::memory_file>();
    opened->bytes = found->second;
    return opened;
  }
  result<> rename(const std::string&, const std::string&) override { return read_only(); }
  result<> remove(const std::string&) override { return read_only(); }
  result<> remove_directory(const std::string&) override { return read_only(); }
  result<std::vector<std::string>> list(const std::string& directory) override {
    std::vector<std::string> names;
    for (const auto& [path, bytes] : files)
      if (path.starts_with(directory + '/'))
        names.push_back(path.substr(directory.size() + 1));
    return names;
  }
  bool exists(const std::string& path) override { return files.contains(path); }
  result<> make_directories(const std::string&) override { return read_only(); }
  result<> sync_directory(const std::string&) override { return read_only(); }
  result<storage::disk_space> space(const std::string&) override { return storage::disk_space{}; }
  result<std::unique_ptr<storage::mapping>> map(const std::string& path) override {
    const auto found = files.find(path);
    if (found == files.end())
      return fail(errc::io_failed, ENOENT);
    return std::make_unique<mapped>(found->second);
  }
  result<std::unique_ptr<storage::file_lock>> lock(const std::string&) override {
    return fail(errc::io_failed, EROFS);
  }

 private:
  class mapped final : public storage::mapping {
   public:
    explicit mapped(std::vector<std::byte> bytes) : bytes_(std::move(bytes)) {}
    [[nodiscard]] byte_view bytes() const noexcept override { return bytes_; }

   private:
    std::vector<std::byte> bytes_;
  };

  static result<> read_only() { return fail(errc::io_failed, EROFS); }
};

} // namespace lance::fuzz
