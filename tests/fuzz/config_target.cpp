// The configuration file: any text is answered with values and sentences, never with an exception,
// and what loads well is printed as a file that loads to the same.
#include "config/keys.hpp"
#include "config/load.hpp"
#include "config/print.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

namespace {

void check_told(const config::loaded& answer) {
  LANCE_CHECK(answer.origins.size() == config::keys().size(), answer.origins.size());
  for (const auto& sentence : answer.errors)
    LANCE_CHECK(!sentence.empty(), answer.errors.size());
}

} // namespace

// The parsed document, and the printed one, of some KiB of text.
const std::uint64_t allocated_bytes_max = 8 * MiB;

void one_input(byte_view input) {
  const auto answer = config::load_text(as_text(input), "fuzz.toml");
  check_told(answer);
  if (!answer.ok())
    return;
  const auto printed = config::print_config(answer);
  const auto again = config::load_text(printed, "printed.toml");
  check_told(again);
  LANCE_CHECK(again.ok(), printed.size());
  // Origins differ, and stand behind each value: the values alone are compared.
  auto plain = answer;
  auto plain_again = again;
  plain.origins.assign(plain.origins.size(), {});
  plain_again.origins.assign(plain_again.origins.size(), {});
  LANCE_CHECK(config::print_config(plain) == config::print_config(plain_again), printed.size());
}

} // namespace lance::fuzz
