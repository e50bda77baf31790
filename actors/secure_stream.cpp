#include "actors/secure_stream.hpp"

#include <cerrno>
#include <utility>

#include "runtime/check.hpp"

namespace lance::actors {

using runtime::tls_state;

namespace {

// Received buffers that wait to be decrypted while the session is held back: what the kernel had
// under way when receiving was paused, and one more.
constexpr std::size_t inputs_max = 2;

} // namespace

result<runtime::socket_handle*>
secure_stream::begin(runtime::reactor& io, int socket,
                     std::shared_ptr<const runtime::tls_context> context, runtime::stream& owner) {
  LANCE_CHECK(owner_ == nullptr);
  auto accepted = runtime::tls_session::accept(std::move(context));
  if (!accepted)
    return tl::unexpected{accepted.error()};
  tls_.emplace(std::move(*accepted));
  owner_ = &owner;
  began_ns_ = host_.now_ns();
  wanted_ = receiving_ = more_inside_ = peer_ended_ = end_told_ = noted_ = false;
  peer_error_ = 0;
  owes_sent_ = sending_ = end_wanted_ = end_said_ = closing_ = parting_ = false;
  unsent_ = {};
  socket_ = &io.add(socket, *this);
  return static_cast<runtime::socket_handle*>(this);
}

// Everything that can go on goes on: in as far as the session takes it, out as far as the socket
// does. Called again from the socket's completions and when buffers return.
void secure_stream::pump() {
  if (pumping_ || closing_ || !tls_)
    return;
  pumping_ = true;
  while (!closing_ && decrypt())
    ;
  if (!closing_)
    note_state();
  while (!closing_ && encrypt())
    ;
  pumping_ = false;
  if (closing_)
    return;
  steer_receive();
  tell_end();
}

// One step on the way in; false when nothing can be done now.
bool secure_stream::decrypt() {
  const auto state = tls_->state();
  if (state == tls_state::ended || state == tls_state::failed) {
    inputs_.clear();
    return false;
  }
  const bool open = state == tls_state::open;
  if (inputs_.empty() && !more_inside_)
    return false;
  if (open && !wanted_)
    return false;
  auto plain = host_.plain_buffer();
  if (!plain) {
    host_.wants(*this);
    return false;
  }
  byte_view none;
  auto& rest = inputs_.empty() ? none : inputs_.front().rest;
  const auto got = tls_->read(rest, {plain.data(), plain.size()});
  more_inside_ = got == plain.size();
  if (!inputs_.empty() && rest.empty())
    inputs_.pop_front();
  note_state();
  if (got > 0)
    owner_->received(std::move(plain), static_cast<std::uint32_t>(got));
  return !closing_;
}

// One step on the way out; false when nothing can be done now.
bool secure_stream::encrypt() {
  if (sending_)
    return false;
  const bool open = tls_->state() == tls_state::open || tls_->state() == tls_state::ended;
  if (open && end_wanted_ && unsent_.empty() && !end_said_) {
    end_said_ = true;
    tls_->end();
  }
  const bool has_plain = open && !unsent_.empty();
  if (!tls_->has_output() && !has_plain) {
    if (owes_sent_ && unsent_.empty()) {
      owes_sent_ = false;
      owner_->sent(0); // may send again
      return true;
    }
    if (end_said_ && end_wanted_) {
      end_wanted_ = false;
      socket_->end_sending();
    }
    return false;
  }
  if (!out_)
    out_ = host_.cipher_buffer();
  if (!out_) {
    host_.wants(*this);
    return false;
  }
  const auto size = tls_->write(unsent_, {out_.data(), out_.size()});
  if (size == 0)
    return false; // failed meanwhile: told below
  sending_ = true;
  socket_->send({out_.data(), size});
  return false;
}

void secure_stream::steer_receive() {
  const bool more = !peer_ended_ && inputs_.size() < inputs_max &&
                    (wanted_ || tls_->state() == tls_state::handshake) &&
                    tls_->state() != tls_state::failed;
  if (more == receiving_)
    return;
  receiving_ = more;
  if (more)
    socket_->resume_receive();
  else if (!peer_ended_)
    socket_->pause_receive();
}

void secure_stream::note_state() {
  if (!noted_ && tls_->state() == tls_state::open) {
    noted_ = true;
    host_.secured(*this, host_.now_ns() - began_ns_);
  }
}

// The session hears of the end once: after all that was decrypted, and after an alert has left.
void secure_stream::tell_end() {
  if (end_told_)
    return;
  const auto state = tls_->state();
  if (state == tls_state::failed) {
    if (sending_ || tls_->has_output())
      return; // the peer is to know why
    end_told_ = true;
    host_.insecure(*this, tls_->fault());
    owner_->receive_ended(peer_error_ < 0 ? peer_error_ : -EPROTO);
    return;
  }
  if (state == tls_state::ended || (peer_ended_ && inputs_.empty() && !more_inside_)) {
    end_told_ = true;
    if (state == tls_state::ended)
      return owner_->receive_ended(0);
    // A stream without a good-bye may have been cut by anybody. Frames are whole or are not, so
    // what came before is answered all the same, as to any peer that sends no more.
    host_.insecure(*this, runtime::tls_fault::truncated);
    owner_->receive_ended(peer_error_);
  }
}

void secure_stream::resume() {
  pump();
}

void secure_stream::time_out() {
  if (std::exchange(parting_, false))
    return socket_->close();
  if (!shaking_hands())
    return;
  tls_->give_up(runtime::tls_fault::timed_out);
  pump();
}

// -- for the session -------------------------------------------------------------------------

// The session may be within its own loop: what has been decrypted comes with the next turn.
void secure_stream::resume_receive() {
  wanted_ = true;
  if (!closing_)
    host_.again(*this);
}

void secure_stream::pause_receive() {
  wanted_ = false;
  if (!closing_ && !pumping_)
    steer_receive();
}

void secure_stream::send(byte_view data) {
  LANCE_CHECK(unsent_.empty() && !data.empty() && !closing_, unsent_.size(), data.size());
  unsent_ = data;
  owes_sent_ = true;
  if (!pumping_ && !sending_)
    host_.again(*this); // together with what else the session has to do this turn
}

void secure_stream::end_sending() {
  end_wanted_ = true;
  if (!closing_)
    host_.again(*this);
}

void secure_stream::close() {
  if (closing_)
    return;
  closing_ = true;
  const bool said_by_peer = tls_->state() == tls_state::ended && peer_error_ == 0;
  if (!said_by_peer || end_said_)
    return socket_->close();
  parting_ = true;
  began_ns_ = host_.now_ns();
  if (!sending_)
    answer_good_bye();
}

// Whoever says good-bye and means to know whether his last words arrived waits for ours. The socket
// is closed when it has taken it.
void secure_stream::answer_good_bye() {
  if (!std::exchange(end_said_, true))
    tls_->end();
  if (!out_)
    out_ = host_.cipher_buffer();
  byte_view nothing;
  const auto size =
      out_ && tls_->has_output() ? tls_->write(nothing, {out_.data(), out_.size()}) : 0;
  if (size == 0) { // all is said; or no memory, for which good manners do not wait
    parting_ = false;
    return socket_->close();
  }
  sending_ = true;
  socket_->send({out_.data(), size});
}

// -- from the socket -------------------------------------------------------------------------

void secure_stream::received(runtime::buffer_ref buffer, std::uint32_t size) {
  if (closing_)
    return;
  const byte_view bytes{buffer.data(), size};
  inputs_.push_back({std::move(buffer), bytes});
  pump();
}

void secure_stream::receive_ended(std::int32_t error) {
  if (closing_)
    return;
  peer_ended_ = true;
  peer_error_ = error;
  receiving_ = false;
  pump();
}

void secure_stream::sent(std::int32_t error) {
  sending_ = false;
  out_.reset();
  if (parting_ && error == 0)
    return answer_good_bye();
  if (std::exchange(parting_, false))
    return socket_->close();
  if (closing_)
    return;
  if (error < 0) {
    if (owes_sent_) {
      owes_sent_ = false;
      unsent_ = {};
      owner_->sent(error);
    } else {
      peer_ended_ = true;
      peer_error_ = error;
      pump();
    }
    return;
  }
  pump();
}

void secure_stream::stream_closed() {
  inputs_.clear();
  out_.reset();
  tls_.reset();
  socket_ = nullptr;
  std::exchange(owner_, nullptr)->stream_closed();
}

} // namespace lance::actors
