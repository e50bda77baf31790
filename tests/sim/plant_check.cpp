// Built twice with -DLANCE_PLANT=3: only where LANCE_PLANTS is defined too may that mean anything.
#include <string_view>

#include "runtime/plant.hpp"

using lance::runtime::plant;
using lance::runtime::planted;

#ifndef LANCE_PLANTS
static_assert(!planted(plant::retry_after_failed_flush), "no plant grows in a normal build");
#endif

int main(int count, char** words) {
  if (count != 2)
    return 2;
  const bool wanted = std::string_view{words[1]} == "planted";
  const bool right =
      planted(plant::retry_after_failed_flush) == wanted && !planted(plant::ack_before_write);
  return right ? 0 : 1;
}
