// The rare requests: topics by name, where they begin and end, who the server is. One connection of
// its own, opened when first needed and again when lost.
//
// Every call blocks, for connection_options::request_timeout at most. Requests that change nothing
// are sent again when the connection is lost under them or the server calls the failure transient;
// requests that change something are not, once they have been sent: then the failure says that the
// outcome is unknown. One thread at a time.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "client/connector.hpp"
#include "wire/control_json.hpp"

namespace lance::client {

class admin {
 public:
  explicit admin(const connection_options& options);

  /// Who answers. Errors: unsupported from a server that speaks LWP v1 only.
  [[nodiscard]] outcome<wire::hello_reply> hello();
  [[nodiscard]] outcome<wire::cluster_status> cluster_status();

  /// Errors: topic_exists, invalid_name.
  [[nodiscard]] outcome<wire::topic_info> create_topic(const std::string& name,
                                                       const wire::topic_policy& policy = {});
  [[nodiscard]] outcome<std::vector<wire::topic_info>> list_topics();
  /// From the list of all: every server can tell. Errors: topic_not_found.
  [[nodiscard]] outcome<wire::topic_info> find_topic(const std::string& name);
  /// With every partition's extent. Errors: topic_not_found, unsupported (v1).
  [[nodiscard]] outcome<wire::topic_description> describe_topic(const std::string& name);
  /// The operator's word that the disk is well: a log that was fenced after a failed write is
  /// recovered and takes writes again. Refusals: invalid_request (it is not fenced), corrupt (it is
  /// damaged).
  [[nodiscard]] outcome<wire::topic_description> unfence_topic(const std::string& name);
  /// Changes what is set in `policy`, keeps the rest. Errors: topic_not_found.
  [[nodiscard]] outcome<wire::topic_info> set_topic(const std::string& name,
                                                    const wire::topic_policy& policy);
  /// Data and name are gone on return. Errors: topic_not_found.
  [[nodiscard]] outcome<> delete_topic(const std::string& name);

  /// The log of a topic's partition, remembered until forget(). Errors: topic_not_found, also for
  /// a partition the topic does not have.
  [[nodiscard]] outcome<log_id> resolve(const std::string& topic, std::uint32_t partition = 0);
  /// The topic was refused as unknown: it may be another one by now.
  void forget(const std::string& topic);

  /// Errors: unsupported (v1), but for the end, which every server tells.
  [[nodiscard]] outcome<wire::offset_lookup_reply> lookup(log_id log, wire::lookup_kind kind,
                                                          std::uint64_t value = 0);

  /// The server asked last; empty before the first.
  [[nodiscard]] std::string node() const { return channel_ ? channel_->node() : std::string{}; }

 private:
  enum class effect { none, changes };
  struct request {
    wire::command code;
    byte_view payload;
    wire::command reply;
    effect does = effect::none;
    std::string_view topic = {}; ///< for failures
  };

  [[nodiscard]] outcome<reply_frame> call(const request& what);
  [[nodiscard]] outcome<reply_frame> try_once(const request& what, deadline until, bool& sent);
  [[nodiscard]] outcome<> ensure_connected(deadline until);
  [[nodiscard]] outcome<wire::topic_info> create_published(const std::string& name,
                                                           const wire::topic_policy& policy);
  [[nodiscard]] outcome<wire::topic_info> set_published(const std::string& name,
                                                        const wire::topic_policy& policy);
  [[nodiscard]] outcome<wire::offset_lookup_reply> published_end(log_id log);
  template <class T>
  [[nodiscard]] outcome<T> decoded(result<T> value, std::string_view topic) const;

  connection_options options_;
  connector connector_;
  backoff backoff_;
  std::unique_ptr<channel> channel_;
  std::map<std::pair<std::string, std::uint32_t>, log_id> resolved_;
};

/// Name and version of this library, as servers log it.
[[nodiscard]] std::string_view library_version() noexcept;

} // namespace lance::client
