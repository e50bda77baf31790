// A consumer's offset file with any content, and with any name: a number, nothing, or a typed
// error; and what is read is what was there.
//
// The file lies in memory (/dev/shm) and is written for each input.
#include <filesystem>
#include <string>

#include <fcntl.h>
#include <unistd.h>

#include "client/offset_store.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

namespace {

constexpr log_id log{7};

/// The directory, gone at the end of the process.
struct place {
  place()
      : directory(
            (std::filesystem::exists("/dev/shm") ? "/dev/shm/lance-fuzz-" : "/tmp/lance-fuzz-") +
            std::to_string(::getpid())),
        store(directory, "reader") {
    LANCE_CHECK(store.save(log, byte_offset{1}).has_value());
    file = ::open((store.stem(log) + ".offset").c_str(), O_RDWR | O_CLOEXEC);
    LANCE_CHECK(file >= 0);
  }
  ~place() {
    ::close(file);
    std::filesystem::remove_all(directory);
  }
  place(const place&) = delete;
  place& operator=(const place&) = delete;

  std::string directory;
  client::file_offset_store store;
  int file = -1;
};

place& here() {
  static place one;
  return one;
}
[[maybe_unused]] const auto& made_before_the_first_input = here();

// The file's one form: digits, then a newline or nothing.
bool is_offset(std::string_view text) {
  if (!text.empty() && text.back() == '\n')
    text.remove_suffix(1);
  if (text.empty() || text.find_first_not_of("0123456789") != std::string_view::npos)
    return false;
  return true;
}

} // namespace

const std::uint64_t allocated_bytes_max = 64 * KiB;

void one_input(byte_view input) {
  auto& store = here().store;
  const int file = here().file;
  LANCE_CHECK(::ftruncate(file, 0) == 0);
  LANCE_CHECK(::pwrite(file, input.data(), input.size(), 0) == static_cast<ssize_t>(input.size()));
  const auto loaded = store.load(log);
  if (!loaded) {
    LANCE_CHECK(loaded.error().code == errc::bad_format, static_cast<int>(loaded.error().code));
  } else {
    LANCE_CHECK(loaded->has_value(), input.size());
    LANCE_CHECK(is_offset(as_text(input)), input.size());
  }

  client::file_offset_store named{here().directory, std::string{as_text(input)}};
  const auto other = named.load(log);
  LANCE_CHECK(!other || !*other || as_text(input) == "reader", input.size());
}

} // namespace lance::fuzz
