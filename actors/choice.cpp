#include "actors/choice.hpp"

namespace lance::actors {

choice choose(const config::config& values, const runtime::machine& machine,
              const runtime::uring_capabilities& capabilities) {
  choice made;
  made.machine = machine;
  if (values.numa.nic_node >= 0)
    made.machine.nic_node = static_cast<int>(values.numa.nic_node);
  if (values.numa.nvme_node >= 0)
    made.machine.nvme_node = static_cast<int>(values.numa.nvme_node);
  runtime::placement_request request;
  request.network = static_cast<unsigned>(values.lanes.network);
  request.ingest = static_cast<unsigned>(values.lanes.ingest);
  request.io = static_cast<unsigned>(values.lanes.io);
  for (const auto cpu : values.lanes.cpus)
    request.cpus.push_back(static_cast<int>(cpu));
  request.idle = values.lanes.idle == config::lane_idle::spin   ? runtime::idle_request::spin
                 : values.lanes.idle == config::lane_idle::park ? runtime::idle_request::park
                                                                : runtime::idle_request::automatic;
  request.numa = values.numa.enabled;
  request.memory_bytes = values.io.buffer_bytes;
  request.chunk_bytes = values.io.batch_size;
  made.plan = runtime::place(made.machine, request);
  made.capabilities = capabilities;
  made.use_uring = made.capabilities.available && values.io.backend != config::io_backend::pwritev;
  made.backend = !made.use_uring                        ? "pwritev"
                 : made.capabilities.registered_buffers ? "io_uring"
                                                        : "io_uring (buffers not registered)";
  return made;
}

choice choose(const config::config& values) {
  return choose(values,
                runtime::read_machine({.nic_pci_addr = values.network.nic_pci_addr,
                                       .data_dir = values.node.data_dir}),
                runtime::probe_uring());
}

std::string describe_placement(const config::config& values) {
  const auto chosen = choose(values);
  std::string text = "\n# chosen for this machine\n# backend: " + chosen.backend + "\n# lanes:";
  for (const auto& lane : chosen.plan.lanes)
    text += " cpu" + (lane.cpu < 0 ? std::string{"*"} : std::to_string(lane.cpu)) +
            (lane.idle == runtime::idle_policy::spin ? "/spin" : "/park");
  text += "\n# shards: " + std::to_string(chosen.plan.shards.size()) +
          "\n# memory for buffers: " + std::to_string(chosen.plan.memory.total / MiB) + " MiB\n";
  for (const auto& sentence : chosen.plan.why)
    text += "# " + sentence + "\n";
  return text;
}

} // namespace lance::actors
