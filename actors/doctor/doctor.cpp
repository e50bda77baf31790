#include "actors/doctor/doctor.hpp"

#include <cstring>
#include <ostream>

#include "actors/access_watch.hpp"
#include "actors/certificate_watch.hpp"
#include "actors/doctor/checks.hpp"
#include "actors/doctor/interrupts.hpp"
#include "actors/doctor/probes.hpp"
#include "actors/doctor/proc_facts.hpp"
#include "actors/doctor/report.hpp"
#include "runtime/clock.hpp"
#include "storage/posix_disk.hpp"

namespace lance::actors::doctor {

namespace {

choice choose_below(const config::config& values, const std::string& root) {
  if (root.empty())
    return choose(values);
  runtime::machine_sources there;
  there.root = root;
  for (const auto& cpu : runtime::read_machine({}, there).cpus)
    there.allowed.push_back(cpu.id); // of another machine: all it has
  const runtime::machine_question question{values.network.nic_pci_addr, values.node.data_dir};
  return choose(values, runtime::read_machine(question, there), runtime::probe_uring());
}

void look_at_files(const config::config& values, facts& into) {
  const auto now_s = static_cast<std::int64_t>(runtime::real_clock{}.wall_ns() / s_in_ns);
  std::string why;
  if (const auto watch = certificate_watch::make(values.tls, now_s, why); !watch)
    into.tls_trouble = why;
  else if (*watch != nullptr)
    into.tls_seconds_left = (*watch)->source().current()->ends_s() - now_s;
  const auto door = storage::make_posix_disk({});
  if (const auto access = access_watch::make(*door, values.auth, values.tls, why); !access)
    into.access_trouble = why;
}

/// False when an interrupt could not be steered.
bool apply_moves(const facts& known, const std::string& root, std::ostream& errors) {
  const auto moves = plan_interrupts(known);
  if (moves.empty())
    errors << "lance: doctor: nothing to steer\n";
  bool done = true;
  for (const auto& one : moves) {
    errors << "lance: doctor: interrupt " << one.interrupt << " (" << one.name << "): CPUs "
           << runtime::show_cpu_list(one.from) << " -> " << one.to;
    const auto steered = steer(root, one);
    if (!steered)
      errors << ": " << std::strerror(steered.error().system)
             << (steered.error().system == EACCES ? " (only root may)" : "");
    errors << '\n';
    done = done && steered;
  }
  return done;
}

} // namespace

facts gather(const config::loaded& wanted, const std::string& root) {
  const auto& values = wanted.values;
  facts known;
  known.wanted = wanted;
  known.chosen = choose_below(values, root);
  known.kernel = read_kernel(root);
  known.kernel.missing_uring_operations =
      runtime::missing_uring_operations().value_or(std::vector<std::string>{});
  known.clock = probe_clock();
  known.disk = probe_disk(values.node.data_dir);
  known.governors = read_governors(root, known.chosen.machine);
  known.node_distances = read_node_distances(root);
  known.card = read_card(root, values.network.nic_pci_addr, interface_with(values.network.bind));
  known.listeners = probe_listeners(values);
  look_at_files(values, known);
  return known;
}

int run_doctor(const config::loaded& wanted, const doctor_options& options, std::ostream& out,
               std::ostream& errors) {
  auto known = gather(wanted, options.root);
  bool applied = true;
  if (options.apply) {
    applied = apply_moves(known, options.root, errors);
    known.card = read_card(options.root, wanted.values.network.nic_pci_addr,
                           interface_with(wanted.values.network.bind));
  }
  const auto findings = judge(known);
  out << (options.json ? as_json(findings) : as_text(findings));
  return applied ? exit_code_of(findings) : exit_not_done;
}

} // namespace lance::actors::doctor
