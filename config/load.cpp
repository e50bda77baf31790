#include "config/load.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <optional>
#include <sstream>

#include <unistd.h>

#include <toml++/toml.h>

#include "config/judge.hpp"
#include "config/keys.hpp"
#include "config/nearest.hpp"
#include "config/values.hpp"

namespace lance::config {

namespace {

// A file nobody would write by hand is refused before it is read.
constexpr std::uintmax_t file_bytes_max = 1024 * 1024;

std::string meant(const std::string& word) {
  return word.empty() ? std::string{} : "; did you mean " + word + '?';
}

std::vector<std::string> section_names() {
  std::vector<std::string> names;
  for (const auto& section : sections())
    names.emplace_back(section.name);
  return names;
}

// The key somebody meant: in its own section, else by its name in any other.
std::string nearest_key(std::string_view section, std::string_view name) {
  std::vector<std::string> here;
  for (const auto& key : keys())
    if (key.section == section)
      here.emplace_back(key.name);
  if (const auto near = nearest(name, here); !near.empty())
    return std::string{section} + '.' + near;
  for (const auto& key : keys())
    if (key.name == name)
      return key.path();
  return {};
}

template <class T>
std::optional<std::vector<T>> list_of(const toml::array& array) {
  std::vector<T> list;
  for (const auto& element : array) {
    const auto value = element.value_exact<T>();
    if (!value)
      return std::nullopt;
    list.push_back(*value);
  }
  return list;
}

std::optional<raw_value> raw_of(const toml::node& node) {
  if (const auto* truth = node.as_boolean())
    return truth->get();
  if (const auto* number = node.as_integer())
    return number->get();
  if (const auto* real = node.as_floating_point())
    return real->get();
  if (const auto* text = node.as_string())
    return text->get();
  if (const auto* array = node.as_array()) {
    if (auto texts = list_of<std::string>(*array))
      return std::move(*texts);
    if (auto numbers = list_of<std::int64_t>(*array))
      return std::move(*numbers);
  }
  return std::nullopt;
}

class loader {
 public:
  loader() { answer_.origins.resize(keys().size()); }

  void file(std::string_view text, const std::string& name) {
    toml::table table;
    try {
      table = toml::parse(text, name);
    } catch (const toml::parse_error& broken) {
      error(name + ':' + std::to_string(broken.source().begin.line) + ": " +
            std::string{broken.description()});
      return;
    }
    // Said in the order of the file, not of the alphabet.
    struct found {
      unsigned line;
      std::string section, name;
      const toml::node* value;
    };
    std::vector<found> all;
    for (const auto& [section, node] : table) {
      const auto line = node.source().begin.line;
      if (const auto* inner = node.as_table(); inner != nullptr && known_section(section.str())) {
        for (const auto& [key, value] : *inner)
          all.push_back({value.source().begin.line, std::string{section.str()},
                         std::string{key.str()}, &value});
        continue;
      }
      all.push_back({line, std::string{section.str()}, {}, nullptr});
    }
    std::stable_sort(all.begin(), all.end(),
                     [](const auto& a, const auto& b) { return a.line < b.line; });
    for (const auto& one : all)
      if (one.value == nullptr)
        unknown_section(one.section, name, one.line);
      else
        file_key(one.section, one.name, *one.value, {source::file, one.line, name});
  }

  void environment(const std::vector<std::pair<std::string, std::string>>& variables) {
    for (const auto& [name, text] : variables) {
      if (!name.starts_with("LANCE_") || name == "LANCE_SERVER") // lnc's
        continue;
      const auto all = keys();
      const auto found = std::find_if(all.begin(), all.end(),
                                      [&](const key& key) { return key.environment() == name; });
      if (found == all.end())
        unknown_variable(name);
      else
        set(static_cast<std::size_t>(found - all.begin()), text, {source::environment, 0, name},
            true);
    }
  }

  void flags(const std::vector<std::pair<std::string, std::string>>& given) {
    for (const auto& [path, text] : given) {
      const auto index = find_key(path);
      if (!index)
        error("flag for " + path + ": there is no such key");
      else
        set(*index, text, {source::flag, 0, keys()[*index].flag_name()}, true);
    }
  }

  void error(std::string sentence) { answer_.errors.push_back(std::move(sentence)); }

  loaded finish() {
    judge(answer_);
    return std::move(answer_);
  }

 private:
  static bool known_section(std::string_view name) {
    const auto all = sections();
    return std::any_of(all.begin(), all.end(),
                       [&](const section& section) { return section.name == name; });
  }

  void unknown_section(const std::string& section, const std::string& name, unsigned line) {
    const auto place = name + ':' + std::to_string(line) + ": ";
    if (known_section(section))
      return error(place + section + " is a section: write [" + section + "] and its keys below");
    auto near = nearest_key({}, section); // a key without its section?
    if (near.empty())
      near = nearest(section, section_names());
    error(place + '[' + section + "] is not a section or key" + meant(near));
  }

  void file_key(const std::string& section, const std::string& name, const toml::node& node,
                const origin& from) {
    const auto path = section + '.' + name;
    const auto index = find_key(path);
    if (!index)
      return error(from.place() + ": " + path + " is not a key" +
                   meant(nearest_key(section, name)));
    if (const auto raw = raw_of(node))
      return set(*index, *raw, from, false);
    config scratch; // a date, a table or a mixed list: no key takes that
    error(from.place() + ": " + path + ' ' + assign(keys()[*index], scratch, wrong_shape(*index)));
  }

  // A value that the key cannot take, to hear from it what it does take.
  static raw_value wrong_shape(std::size_t index) {
    return keys()[index].is == kind::boolean ? raw_value{std::int64_t{2}} : raw_value{true};
  }

  void unknown_variable(const std::string& name) {
    std::vector<std::string> names;
    for (const auto& key : keys())
      names.push_back(key.environment());
    const auto near = nearest(name, names);
    // A slip is an error; what merely begins alike may be the platform's (Kubernetes sets
    // LANCE_SERVICE_HOST and the like for a service called lance).
    if (!near.empty() && edit_distance(name, near) <= 2)
      error(name + ": there is no such key" + meant(near));
    else
      answer_.notices.push_back(name + ": this variable is no key of LANCE: not looked at");
  }

  void set(std::size_t index, raw_value value, const origin& from, bool from_text) {
    const auto& key = keys()[index];
    if (auto* text = std::get_if<std::string>(&value);
        text != nullptr && key.path() == "replication.mode" && *text == "L3") {
      *text = "L2";
      answer_.notices.push_back(from.place() + ": replication.mode = \"L3\" is read as \"L2\"");
    }
    const auto complaint = assign(key, answer_.values, value, from_text);
    if (!complaint.empty())
      return error(from.place() + ": " + key.path() + ' ' + complaint);
    answer_.origins[index] = from;
  }

  loaded answer_;
};

std::optional<std::string> contents(const std::string& path) {
  std::ifstream file{path, std::ios::binary};
  if (!file)
    return std::nullopt;
  std::string text(file_bytes_max + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || static_cast<std::uintmax_t>(file.gcount()) > file_bytes_max)
    return std::nullopt;
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

} // namespace

std::string origin::place() const {
  switch (from) {
  case source::preset:
    return "default";
  case source::file:
    return name + ':' + std::to_string(line);
  case source::environment:
  case source::flag:
    break;
  }
  return name;
}

loaded load(const load_request& request) {
  loader loader;
  if (!request.file.empty()) {
    if (const auto text = contents(request.file))
      loader.file(*text, request.file);
    else
      loader.error(request.file + ": cannot be read, or is larger than 1MiB");
  }
  loader.environment(request.environment);
  loader.flags(request.flags);
  return loader.finish();
}

loaded load_text(std::string_view toml, const std::string& name, const load_request& rest) {
  loader loader;
  loader.file(toml, name);
  loader.environment(rest.environment);
  loader.flags(rest.flags);
  return loader.finish();
}

std::vector<std::pair<std::string, std::string>> process_environment() {
  std::vector<std::pair<std::string, std::string>> variables;
  for (char** at = ::environ; at != nullptr && *at != nullptr; ++at) {
    const std::string line{*at};
    const auto equals = line.find('=');
    if (equals != std::string::npos)
      variables.emplace_back(line.substr(0, equals), line.substr(equals + 1));
  }
  return variables;
}

} // namespace lance::config
