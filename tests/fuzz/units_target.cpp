// What people type and what names mean: sizes, durations, times, places, endpoints, file names.
//
// Input: a time to count from in eight bytes, then the text.
#include "client/cli/units.hpp"
#include "client/endpoint.hpp"
#include "config/units.hpp"
#include "storage/layout.hpp"
#include "tests/fuzz/target.hpp"

namespace lance::fuzz {

namespace {

namespace cli = client::cli;
namespace layout = storage::layout;

void check_sizes(std::string_view text) {
  const auto bytes = cli::parse_bytes(text);
  if (bytes)
    (void)cli::show_bytes(*bytes);
  if (const auto size = config::parse_size(text)) {
    LANCE_CHECK(*size >= 0, *size);
    const auto shown = config::size_text(static_cast<std::uint64_t>(*size));
    LANCE_CHECK(config::parse_size(shown) == size, *size);
    LANCE_CHECK(!bytes || *bytes == static_cast<std::uint64_t>(*size), *size);
  }
}

void check_times(std::string_view text, std::uint64_t now_ns) {
  if (const auto duration = cli::parse_duration_ns(text)) {
    (void)cli::show_latency(*duration);
    (void)cli::show_seconds(*duration / s_in_ns);
  }
  for (const auto* unit : {"us", "ms", "s"})
    if (const auto duration = config::parse_duration(text, unit))
      LANCE_CHECK(*duration >= 0, *duration);
  if (const auto time = cli::parse_time_ns(text, now_ns)) {
    const auto shown = cli::show_time(*time / s_in_ns);
    const auto again = cli::parse_time_ns(shown, now_ns);
    LANCE_CHECK(again && *again == *time / s_in_ns * s_in_ns, static_cast<std::int64_t>(*time));
  }
  (void)cli::parse_start(text, now_ns);
}

void check_endpoints(std::string_view text) {
  if (const auto one = client::parse_endpoint(text)) {
    const auto again = client::parse_endpoint(client::to_text(*one));
    LANCE_CHECK(again && *again == *one, one->host.size(), one->port);
  }
  if (const auto several = client::parse_endpoints(text))
    LANCE_CHECK(!several->empty() && several->size() <= client::endpoints_max, several->size());
}

// A name has one meaning, and the meaning one name.
void check_names(std::string_view text) {
  const auto name = layout::parse(text);
  switch (name.kind) {
  case layout::file_kind::active_segment:
    LANCE_CHECK(layout::active_name(name.segment) == text, text.size());
    break;
  case layout::file_kind::closed_segment:
    LANCE_CHECK(layout::closed_name(name.segment, name.last_ns) == text, text.size());
    break;
  case layout::file_kind::index:
    LANCE_CHECK(layout::index_name(name.segment) == text, text.size());
    break;
  case layout::file_kind::spare:
    LANCE_CHECK(text == layout::spare_name, text.size());
    break;
  case layout::file_kind::recycled:
    LANCE_CHECK(layout::recycled_name(name.segment) == text, text.size());
    break;
  case layout::file_kind::other:
    break;
  }
}

} // namespace

const std::uint64_t allocated_bytes_max = 1 * MiB;

void one_input(byte_view input) {
  decisions choose{input};
  std::uint64_t now_ns = 0;
  for (int i = 0; i < 8; ++i)
    now_ns = now_ns << 8U | choose.byte();
  const auto text = as_text(choose.rest());
  check_sizes(text);
  check_times(text, now_ns);
  check_endpoints(text);
  check_names(text);
}

} // namespace lance::fuzz
