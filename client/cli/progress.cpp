#include "client/cli/progress.hpp"

#include <algorithm>
#include <utility>

#include <unistd.h>

#include "client/cli/units.hpp"
#include "client/deadline.hpp"

namespace lance::client::cli {

namespace {

constexpr std::uint64_t redraw_ns = 200 * ms_in_ns;
constexpr std::uint64_t width = 30; // of the bar

std::string shown(std::uint64_t amount, progress_of what) {
  return what == progress_of::bytes ? show_bytes(amount) : std::to_string(amount / s_in_ns) + " s";
}

} // namespace

std::string progress_line(const std::string& label, std::uint64_t done, std::uint64_t total,
                          progress_of what) {
  const auto share =
      total == 0 ? 1.0 : std::min(1.0, static_cast<double>(done) / static_cast<double>(total));
  const auto filled = static_cast<std::size_t>(share * static_cast<double>(width));
  const auto percent = std::to_string(static_cast<int>(share * 100));
  return label + " [" + std::string(filled, '#') + std::string(width - filled, ' ') + "] " +
         std::string(3 - percent.size(), ' ') + percent + "% " + shown(done, what) + " of " +
         shown(total, what);
}

progress::progress(context& shared, std::string label, progress_of what)
    : shared_(shared), label_(std::move(label)), what_(what),
      on_(!shared.quiet && ::isatty(shared.io.errors.descriptor()) == 1) {}

progress::~progress() {
  clear();
}

void progress::show(std::uint64_t done, std::uint64_t total) {
  if (!on_ || deadline::now_ns() < next_ns_)
    return;
  next_ns_ = deadline::now_ns() + redraw_ns;
  drawn_ = true;
  shared_.io.errors.put("\r" + progress_line(label_, done, total, what_) + "\033[K");
  shared_.io.errors.flush();
}

void progress::clear() {
  if (!std::exchange(drawn_, false))
    return;
  shared_.io.errors.put("\r\033[K");
  shared_.io.errors.flush();
}

} // namespace lance::client::cli
