// A made-up /sys and /proc that goes when the test ends.
#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include <catch2/catch.hpp>
#include <stdlib.h>

namespace lance::actors::doctor {

class made_tree {
 public:
  made_tree() {
    std::string pattern =
        (std::filesystem::temp_directory_path() / "lance_machine_XXXXXX").string();
    REQUIRE(::mkdtemp(pattern.data()) != nullptr);
    root_ = pattern;
  }
  ~made_tree() { std::filesystem::remove_all(root_); }
  made_tree(const made_tree&) = delete;
  made_tree& operator=(const made_tree&) = delete;

  const made_tree& file(const std::string& path, const std::string& text) const {
    std::filesystem::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
    std::ofstream{root_ + path} << text << '\n';
    return *this;
  }
  const made_tree& link(const std::string& path, const std::string& to) const {
    std::filesystem::create_directories((root_ + path).substr(0, (root_ + path).rfind('/')));
    std::filesystem::create_directories(root_ + to);
    std::filesystem::create_directory_symlink(root_ + to, root_ + path);
    return *this;
  }
  [[nodiscard]] const std::string& root() const { return root_; }

 private:
  std::string root_;
};

} // namespace lance::actors::doctor
