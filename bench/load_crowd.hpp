// Connections that cost a broker memory and nothing else.
#pragma once

#include "bench/load_connection.hpp"

namespace lance::bench {

struct crowd_plan {
  unsigned idle = 9000; ///< handshake done, one keepalive answered, silent from then on
  unsigned half = 1000; ///< the first half of a ClientHello sent; opened anew when put out
};

/// Opens the idle ones, prints {"idle": n}, waits for a line on stdin, opens the halves, prints
/// {"half": n}, and holds all until stdin ends. Gives up when an idle one is closed.
void hold_crowd(const dial_plan& server, const crowd_plan& plan);

} // namespace lance::bench
