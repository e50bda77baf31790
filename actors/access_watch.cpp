#include "actors/access_watch.hpp"

#include "runtime/log.hpp"
#include "runtime/types.hpp"
#include "storage/data_dir.hpp"

namespace lance::actors {

using runtime::log_level;

namespace {

// Ten thousand of the longest lines.
constexpr std::uint64_t file_bytes_max = 16 * MiB;

result<> refuse(std::string& why, std::string sentence) {
  why = std::move(sentence);
  return fail(errc::bad_config);
}

// Settings that look like protection and are none.
result<> judge(const config::auth_section& auth, const config::tls_section& tls, std::string& why) {
  if (!auth.enabled) {
    for (const auto& [key, set] :
         {std::pair{"auth.token_file", !auth.token_file.empty()},
          std::pair{"auth.acl", !auth.acl.empty()}, std::pair{"auth.write_only", auth.write_only}})
      if (set)
        return refuse(why,
                      std::string{key} +
                          " is set, but auth.enabled is not: set auth.enabled = true, or take " +
                          key + " away");
    return {};
  }
  if (auth.token_file.empty() && tls.ca.empty())
    return refuse(why, "auth.enabled needs a way for clients to show who they are: name "
                       "auth.token_file (lnc token create makes one), or tls.ca for certificates");
  return {};
}

} // namespace

result<std::unique_ptr<access_watch>> access_watch::make(storage::disk& door,
                                                         const config::auth_section& auth,
                                                         const config::tls_section& tls,
                                                         std::string& why) {
  if (const auto sound = judge(auth, tls, why); !sound)
    return tl::unexpected{sound.error()};
  std::unique_ptr<access_watch> made{new access_watch(door, auth)};
  made->seen_ = made->read_stamps();
  auto first = made->read(why);
  if (!first)
    return tl::unexpected{first.error()};
  if (auth.enabled && tls.ca.empty() && first->tokens.rows().empty())
    return tl::unexpected{refuse(why, "auth.token_file = \"" + auth.token_file +
                                          "\" holds no token, so nobody could come in: make one "
                                          "with lnc token create")
                              .error()};
  made->source_.replace(std::move(*first));
  return made;
}

access_watch::stamps access_watch::read_stamps() const {
  return {file_stamp::of(auth_.token_file), file_stamp::of(auth_.acl)};
}

result<access_book> access_watch::read(std::string& why) const {
  access_book book;
  book.enabled = auth_.enabled;
  book.write_only = auth_.write_only;
  const auto text_of = [&](const char* key, const std::string& path) -> result<std::string> {
    auto text = storage::read_small_file(door_, path, file_bytes_max);
    if (!text) {
      (void)refuse(why, std::string{key} + " = \"" + path + "\" cannot be read (" +
                            describe_error(text.error()) + "): name a file that is there");
      return fail(errc::bad_config);
    }
    return text;
  };
  const auto damaged = [&](const char* key, const std::string& path, std::size_t line,
                           const std::string& what) {
    (void)refuse(why, std::string{key} + " = \"" + path + "\", line " + std::to_string(line) +
                          ": " + what);
    return fail(errc::bad_config);
  };
  if (!auth_.token_file.empty()) {
    const auto text = text_of("auth.token_file", auth_.token_file);
    if (!text)
      return tl::unexpected{text.error()};
    std::size_t line = 0;
    auto tokens = cluster::credentials::parse(*text, line);
    if (!tokens)
      return damaged("auth.token_file", auth_.token_file, line,
                     tokens.error().code == errc::unsupported
                         ? "it was written by a newer version: use that one"
                         : "no token (name, hash, created, expires): use lnc token to change it");
    book.tokens = std::move(*tokens);
  }
  if (!auth_.acl.empty()) {
    const auto text = text_of("auth.acl", auth_.acl);
    if (!text)
      return tl::unexpected{text.error()};
    std::size_t line = 0;
    std::string what;
    auto rules = cluster::access_rules::parse(*text, line, what);
    if (!rules)
      return damaged("auth.acl", auth_.acl, line, what);
    book.rules = std::move(*rules);
  }
  return book;
}

void access_watch::look(bool forced, runtime::metric_set& metrics) {
  if (!auth_.enabled)
    return;
  const auto now = read_stamps();
  if (!forced && now == seen_)
    return;
  seen_ = now;
  std::string why;
  auto next = read(why);
  if (!next) {
    metrics.add(runtime::counter::auth_reload_failures);
    runtime::log(log_level::error, "access_not_reloaded",
                 {{"reason", why}, {"effect", "tokens and rules from before stay in use"}});
    return;
  }
  runtime::log(log_level::info, "access_reloaded",
               {{"tokens", next->tokens.rows().size()},
                {"rules", next->rules ? next->rules->rules().size() : 0}});
  source_.replace(std::move(*next));
  metrics.add(runtime::counter::auth_reloads);
}

} // namespace lance::actors
