// No decoder: it breaks each limit on purpose, so that a test can see that the guard notices.
#include <ctime>
#include <memory>

#include "runtime/types.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

namespace {

void use_processor(std::uint64_t ns) {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  const auto count = [](const timespec& at) {
    return static_cast<std::uint64_t>(at.tv_sec) * s_in_ns + static_cast<std::uint64_t>(at.tv_nsec);
  };
  const auto end = count(now) + ns;
  while (count(now) < end)
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
}

} // namespace

const std::uint64_t allocated_bytes_max = 64 * KiB;

void one_input(byte_view input) {
  const auto text = as_text(input);
  if (text == "slow")
    use_processor(input_ns_max + 10 * ms_in_ns);
  if (text == "greedy") { // no single one is too large
    std::vector<std::unique_ptr<std::byte[]>> all;
    for (int i = 0; i < 5; ++i)
      all.push_back(std::make_unique<std::byte[]>(16 * KiB));
  }
  LANCE_CHECK(text != "wrong", text.size());
}

} // namespace lance::fuzz
