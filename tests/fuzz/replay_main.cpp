// Runs a fuzz target without libFuzzer: over its seeds, and over mutations of them that follow from
// one number. What `./dev test` runs of the fuzzers.
//
//   fuzz_<target> <directory or file>... [--mutations N]
//
// LANCE_SEED chooses the mutations; it is printed. When an input ends the process, the seed, the
// input's number and its bytes are printed: a file with these bytes repeats it, here and in the
// libFuzzer build.
#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "tests/fuzz/target.hpp"

extern "C" {
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
[[gnu::weak]] int LLVMFuzzerInitialize(int* count, char*** words);
[[gnu::weak]] std::size_t LLVMFuzzerCustomMutator(std::uint8_t* data, std::size_t size,
                                                  std::size_t size_max, unsigned seed);
}

namespace {

using bytes = std::vector<std::uint8_t>;

constexpr std::size_t mutated_bytes_max = 8192; // as ./dev fuzz allows

std::mt19937_64 chance; // seeded in main

std::size_t up_to(std::size_t most) {
  return std::uniform_int_distribution<std::size_t>{0, most}(chance);
}

// The input under way, for the last words.
struct {
  const std::uint8_t* data = nullptr;
  std::size_t size = 0;
  unsigned long long number = 0;
  unsigned long long seed = 0;
} current;

// Only calls that a signal handler may make.
void last_words(int signal_number) {
  std::array<char, 160> text{};
  const auto length =
      std::snprintf(text.data(), text.size(),
                    "\nsignal %d: LANCE_SEED=%llu, input %llu of %zu bytes, in hexadecimal:\n",
                    signal_number, current.seed, current.number, current.size);
  (void)!::write(STDERR_FILENO, text.data(), static_cast<std::size_t>(length));
  constexpr std::string_view digits = "0123456789abcdef";
  for (std::size_t at = 0; at < current.size; ++at) {
    const std::array<char, 2> pair{digits[current.data[at] >> 4U], digits[current.data[at] & 15U]};
    (void)!::write(STDERR_FILENO, pair.data(), pair.size());
  }
  (void)!::write(STDERR_FILENO, "\n", 1);
  std::signal(signal_number, SIG_DFL);
  ::raise(signal_number);
}

void run(const bytes& input) {
  // Memory of exactly that size: a vector may have room to spare.
  const auto exact = std::make_unique<std::uint8_t[]>(input.size());
  std::copy(input.begin(), input.end(), exact.get());
  current.data = exact.get();
  current.size = input.size();
  ++current.number;
  LLVMFuzzerTestOneInput(exact.get(), input.size());
  current.size = 0;
}

bytes read_file(const std::filesystem::path& path) {
  std::ifstream file{path, std::ios::binary};
  return {std::istreambuf_iterator<char>{file}, {}};
}

std::vector<bytes> seeds_of(const std::vector<std::filesystem::path>& places) {
  std::vector<std::filesystem::path> paths;
  for (const auto& place : places)
    if (std::filesystem::is_directory(place))
      for (const auto& entry : std::filesystem::directory_iterator{place})
        paths.push_back(entry.path());
    else
      paths.push_back(place);
  std::sort(paths.begin(), paths.end()); // the order of a directory is nobody's promise
  std::vector<bytes> seeds;
  for (const auto& path : paths)
    seeds.push_back(read_file(path));
  return seeds;
}

bytes mutation(const std::vector<bytes>& seeds) {
  auto input = seeds[up_to(seeds.size() - 1)];
  if (up_to(7) == 0) { // the front of one, the back of another
    const auto& other = seeds[up_to(seeds.size() - 1)];
    input.resize(up_to(input.size()));
    input.insert(input.end(), other.begin() + static_cast<std::ptrdiff_t>(up_to(other.size())),
                 other.end());
  }
  auto size = std::min(input.size(), mutated_bytes_max);
  input.resize(mutated_bytes_max);
  for (auto changes = 1 + up_to(3); changes > 0; --changes)
    size = LLVMFuzzerCustomMutator != nullptr
               ? LLVMFuzzerCustomMutator(input.data(), size, mutated_bytes_max,
                                         static_cast<unsigned>(chance()))
               : LLVMFuzzerMutate(input.data(), size, mutated_bytes_max);
  input.resize(size);
  return input;
}

int usage() {
  std::fprintf(stderr, "usage: fuzz_<target> <directory or file>... [--mutations N]\n");
  return 2;
}

} // namespace

// A plain one: a bit, a byte, a number that lies, a cut, a repetition, more bytes.
extern "C" std::size_t LLVMFuzzerMutate(std::uint8_t* data, std::size_t size,
                                        std::size_t size_max) {
  const auto choice = size == 0 ? 6 : up_to(6);
  const auto at = size == 0 ? 0 : up_to(size - 1);
  switch (choice) {
  case 0:
    data[at] = static_cast<std::uint8_t>(data[at] ^ (1U << up_to(7)));
    return size;
  case 1:
    data[at] = static_cast<std::uint8_t>(chance());
    return size;
  case 2: {
    constexpr std::array<std::uint64_t, 6> lies{0,  1, 0x7fffffff, 0xffffffff, ~std::uint64_t{0},
                                                255};
    const auto number = lies[up_to(lies.size() - 1)];
    const auto width = std::min<std::size_t>(std::size_t{1} << up_to(3), size - at);
    std::memcpy(data + at, &number, width);
    return size;
  }
  case 3:
    return at;
  case 4: { // a part again, elsewhere
    const auto from = up_to(size - 1);
    const auto length = up_to(size - std::max(at, from));
    std::memmove(data + at, data + from, length);
    return size;
  }
  default: {
    const auto more = std::min(1 + up_to(8), size_max - size);
    std::memmove(data + at + more, data + at, size - at);
    for (std::size_t i = 0; i < more; ++i)
      data[at + i] = static_cast<std::uint8_t>(chance());
    return size + more;
  }
  }
}

int main(int count, char** words) {
  std::vector<std::filesystem::path> places;
  unsigned long long mutations = 0;
  for (int at = 1; at < count; ++at) {
    if (std::string_view{words[at]} == "--mutations") {
      if (++at == count)
        return usage();
      mutations = std::strtoull(words[at], nullptr, 10);
    } else {
      places.emplace_back(words[at]);
    }
  }
  if (places.empty())
    return usage();
  if (LLVMFuzzerInitialize != nullptr)
    LLVMFuzzerInitialize(&count, &words);

  const auto seeds = seeds_of(places);
  if (seeds.empty()) {
    std::fprintf(stderr, "no seeds\n");
    return 1;
  }
  const auto* wanted = std::getenv("LANCE_SEED");
  current.seed = wanted != nullptr ? std::strtoull(wanted, nullptr, 10) : std::random_device{}();
  chance.seed(current.seed);
  std::printf("LANCE_SEED=%llu: %zu seeds, %llu mutations\n", current.seed, seeds.size(),
              mutations);
  std::fflush(stdout);
  for (const auto number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL})
    std::signal(number, last_words);

  for (const auto& seed : seeds)
    run(seed);
  for (unsigned long long n = 0; n < mutations; ++n)
    run(mutation(seeds));
  return 0;
}
