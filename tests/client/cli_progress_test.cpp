#include "client/cli/progress.hpp"

#include <catch2/catch.hpp>

using namespace lance;
using namespace lance::client::cli;

TEST_CASE("the bar shows share and sizes", "[progress]") {
  CHECK(progress_line("export", 0, 2 * MiB) ==
        "export [                              ]   0% 0 B of 2 MiB");
  CHECK(progress_line("export", 1 * MiB, 2 * MiB) ==
        "export [###############               ]  50% 1 MiB of 2 MiB");
  CHECK(progress_line("x", 5, 5) == "x [##############################] 100% 5 B of 5 B");
  CHECK(progress_line("x", 9, 5) == "x [##############################] 100% 9 B of 5 B");
  CHECK(progress_line("bench", s_in_ns, 4 * s_in_ns, progress_of::time_ns) ==
        "bench [#######                       ]  25% 1 s of 4 s");
  CHECK(progress_line("x", 0, 0) == "x [##############################] 100% 0 B of 0 B");
}
