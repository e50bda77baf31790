// The simulator's disk, by the name the tests of storage/ know it.
#pragma once

#include "runtime/check.hpp"
#include "storage/layout.hpp"
#include "tests/sim/sim_disk.hpp"

namespace lance::storage::testing {

using sim::sim_disk;

} // namespace lance::storage::testing
