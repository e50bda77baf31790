// Ctrl-C and SIGTERM as a wish to end, for commands that run until told to stop.
#pragma once

namespace lance::client::cli {

/// From now on the two signals only set a flag, the second one ends the process.
void watch_for_interrupts() noexcept;
[[nodiscard]] bool interrupted() noexcept;

} // namespace lance::client::cli
