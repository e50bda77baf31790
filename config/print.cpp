#include "config/print.hpp"

#include "config/keys.hpp"
#include "config/values.hpp"

namespace lance::config {

namespace {

// Calls `section` and `key` in the order of the file.
template <class Section, class Key>
void walk(Section&& on_section, Key&& on_key) {
  for (const auto& section : sections()) {
    on_section(section);
    for (std::size_t i = 0; i < keys().size(); ++i)
      if (keys()[i].section == section.name)
        on_key(keys()[i], i);
  }
}

std::string explained(const key& key) {
  std::string text = "# " + std::string{key.comment};
  if (!key.words.empty()) {
    text += " (";
    for (const auto word : words_of(key))
      text += (text.ends_with('(') ? "" : ", ") + std::string{word};
    text += ')';
  }
  if (key.today != state::built)
    text += " Not built yet: " + std::string{key.feature} + '.';
  return text + '\n';
}

} // namespace

std::string gen_config() {
  const config presets;
  std::string text = "# Every key of LANCE with its default. A value here is overridden by the "
                     "environment\n# (LANCE_<SECTION>_<KEY>), and that by flags. Sizes take KiB, "
                     "MiB, GiB, TiB; durations us, ms, s, m, h, d.\n";
  walk(
      [&](const section& section) {
        text += "\n# " + std::string{section.comment} + "\n[" + std::string{section.name} + "]\n";
      },
      [&](const key& key, std::size_t) {
        const auto unit = readable(key, presets);
        text += explained(key) + std::string{key.name} + " = " + to_toml(key, presets) +
                (unit.empty() ? "" : " # " + unit) + '\n';
      });
  return text;
}

std::string print_config(const loaded& loaded) {
  std::string text;
  walk(
      [&](const section& section) {
        text += (text.empty() ? "[" : "\n[") + std::string{section.name} + "]\n";
      },
      [&](const key& key, std::size_t index) {
        const auto unit = readable(key, loaded.values);
        text += std::string{key.name} + " = " + to_toml(key, loaded.values) + "  # " +
                (unit.empty() ? "" : unit + ", ") + loaded.origins[index].place() + '\n';
      });
  return text;
}

} // namespace lance::config
