// libFuzzer's entry: one input, within its time and its memory.
#include <cstdio>
#include <cstdlib>
#include <ctime>

#include "tests/fuzz/allocation_watch.hpp"
#include "tests/fuzz/target.hpp"

namespace {

// Of this thread, so that other programs on the machine do not make a decoder slow.
std::uint64_t processor_ns() noexcept {
  timespec now{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000 +
         static_cast<std::uint64_t>(now.tv_nsec);
}

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto begin = processor_ns();
  lance::fuzz::watch_allocations(lance::fuzz::allocated_bytes_max);
  lance::fuzz::one_input({reinterpret_cast<const std::byte*>(data), size});
  lance::fuzz::stop_watching();
  const auto took = processor_ns() - begin;
  if (took > lance::fuzz::input_ns_max) {
    std::fprintf(stderr, "time limit: %llu us for one input of %zu bytes\n",
                 static_cast<unsigned long long>(took / 1000), size);
    std::abort();
  }
  return 0;
}
