// Slow deeds of a poller that run beside its lane. Private to poller_actor's source files.
#pragma once

#include "actors/poller_actor.hpp"
#include "runtime/blocking_thread.hpp"

namespace lance::actors {

/// Removes the files of segments that a log has let go.
struct poller_actor::drop_job final : runtime::blocking_job {
  drop_job(poller_actor& actor, log_id which, storage::segment_removal&& what)
      : home(actor), log(which), removal(std::move(what)) {}
  void run() override;
  void finish() override;
  poller_actor& home;
  log_id log;
  storage::segment_removal removal;
  result<> outcome;
};

} // namespace lance::actors
