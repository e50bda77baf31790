// Facts out of the files of /proc and /sys, below any root: tests point it at made-up trees, and a
// tree that was packed up on another machine can be judged here. Reads only; bounded.
#pragma once

#include <string>

#include "actors/doctor/facts.hpp"

namespace lance::actors::doctor {

[[nodiscard]] kernel_facts read_kernel(const std::string& root);
[[nodiscard]] std::vector<governor> read_governors(const std::string& root,
                                                   const runtime::machine& machine);
/// [from][to], as /sys/devices/system/node/node*/distance tells it.
[[nodiscard]] std::vector<std::vector<int>> read_node_distances(const std::string& root);
/// The card named by its PCI address, else `interface`, else the one of the default route.
[[nodiscard]] card_facts read_card(const std::string& root, const std::string& pci_address,
                                   const std::string& interface);

} // namespace lance::actors::doctor
