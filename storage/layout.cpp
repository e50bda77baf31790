#include "storage/layout.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace lance::storage::layout {

namespace {

constexpr std::size_t digits = 20; // of 2^64 - 1
constexpr std::string_view segment_suffix = ".lnc";
constexpr std::string_view index_suffix = ".idx";
constexpr std::string_view recycled_prefix = "recycled-";
constexpr std::string_view spare_suffix = ".spare";

std::string number_text(std::uint64_t number) {
  std::array<char, digits + 1> text{};
  std::snprintf(text.data(), text.size(), "%020llu", static_cast<unsigned long long>(number));
  return text.data();
}

std::string stem(segment_id segment) {
  return number_text(segment.first.value) + '_' + number_text(segment.first_ns);
}

// Takes exactly twenty digits off the front.
bool take_number(std::string_view& text, std::uint64_t& number) noexcept {
  if (text.size() < digits)
    return false;
  const auto [end, error] = std::from_chars(text.data(), text.data() + digits, number);
  if (error != std::errc{} || end != text.data() + digits)
    return false;
  text.remove_prefix(digits);
  return true;
}

bool take(std::string_view& text, std::string_view prefix) noexcept {
  if (!text.starts_with(prefix))
    return false;
  text.remove_prefix(prefix.size());
  return true;
}

} // namespace

std::string join(std::string_view a, std::string_view b) {
  std::string path{a};
  if (!path.empty() && path.back() != '/')
    path += '/';
  return path.append(b);
}

std::string parent(std::string_view path) {
  const auto slash = path.rfind('/');
  if (slash == std::string_view::npos)
    return ".";
  return std::string{slash == 0 ? "/" : path.substr(0, slash)};
}

std::string log_directory(std::string_view data_dir, std::string_view topic,
                          std::uint32_t partition) {
  return join(join(join(data_dir, segments_name), topic), std::to_string(partition));
}

std::string active_name(segment_id segment) {
  return stem(segment).append(segment_suffix);
}

std::string closed_name(segment_id segment, std::uint64_t last_ns) {
  return (stem(segment) + '-' + number_text(last_ns)).append(segment_suffix);
}

std::string index_name(segment_id segment) {
  return stem(segment).append(index_suffix);
}

std::string recycled_name(segment_id segment) {
  return std::string{recycled_prefix} + number_text(segment.first.value) +
         std::string{spare_suffix};
}

file_name parse(std::string_view name) noexcept {
  file_name found;
  if (name == spare_name) {
    found.kind = file_kind::spare;
    return found;
  }
  if (take(name, recycled_prefix)) {
    if (!take_number(name, found.segment.first.value) || name != spare_suffix)
      return {};
    found.kind = file_kind::recycled;
    return found;
  }
  if (!take_number(name, found.segment.first.value) || !take(name, "_") ||
      !take_number(name, found.segment.first_ns))
    return {};
  if (name == segment_suffix)
    found.kind = file_kind::active_segment;
  else if (name == index_suffix)
    found.kind = file_kind::index;
  else if (take(name, "-") && take_number(name, found.last_ns) && name == segment_suffix)
    found.kind = file_kind::closed_segment;
  else
    return {};
  return found;
}

std::string quarantine_file(log_id log, segment_id segment, std::uint64_t position) {
  return "log-" + std::to_string(log.value) + '_' + number_text(segment.first.value) + '_' +
         number_text(position) + ".tail";
}

std::string quarantine_file(log_id log, std::string_view name) {
  return ("log-" + std::to_string(log.value) + '_').append(name);
}

} // namespace lance::storage::layout
