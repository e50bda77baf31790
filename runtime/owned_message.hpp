// Messages between lane actors that own buffers and allocate nothing: a mailbox element that comes
// from its sender's pool and returns there when the receiver's mailbox lets go of it (CAF asks an
// element to delete itself through memory_managed::request_deletion). The value may be move-only.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/message.hpp>
#include <caf/message_id.hpp>
#include <caf/type_erased_tuple.hpp>

namespace lance::runtime {

template <class T>
class message_pool;

/// One preallocated message. T has `recycle()`, called when the message comes back: it drops the
/// handles nobody took and keeps reusable storage.
template <class T>
class owned_message final : public caf::mailbox_element, public caf::type_erased_tuple {
 public:
  explicit owned_message(message_pool<T>& home) : home_(home) {}

  T value{};

  caf::type_erased_tuple& content() override { return *this; }
  const caf::type_erased_tuple& content() const override { return *this; }
  // Reached only by forwarding, which owned messages do not support.
  caf::message move_content_to_message() override { return {}; }
  caf::message copy_content_to_message() const override { return {}; }
  void request_deletion(bool) const noexcept override {
    auto* self = const_cast<owned_message*>(this);
    self->value.recycle();
    self->home_.give_back(*self);
  }

  using caf::type_erased_tuple::copy;
  using caf::type_erased_tuple::load;
  using caf::type_erased_tuple::save;
  void* get_mutable(std::size_t) override { return &value; }
  const void* get(std::size_t) const noexcept override { return &value; }
  std::size_t size() const noexcept override { return 1; }
  std::uint32_t type_token() const noexcept override { return caf::make_type_token<T>(); }
  caf::rtti_pair type(std::size_t) const noexcept override { return caf::make_rtti_pair<T>(); }
  std::string stringify(std::size_t) const override { return "<owned message>"; }
  caf::type_erased_value_ptr copy(std::size_t) const override { return nullptr; }
  caf::error load(std::size_t, caf::deserializer&) override { return caf::sec::invalid_argument; }
  caf::error save(std::size_t, caf::serializer&) const override {
    return caf::sec::invalid_argument;
  }

 private:
  friend class message_pool<T>;
  message_pool<T>& home_;
  owned_message* next_free_ = nullptr;
};

/// Messages made once. One thread takes and sends; any thread gives back. Outlives the actor
/// system.
template <class T>
class message_pool {
 public:
  using element = owned_message<T>;

  explicit message_pool(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& made = *store_.emplace_back(std::make_unique<element>(*this));
      made.next_free_ = free_;
      free_ = &made;
    }
  }

  /// A message to fill, or null: all are under way, hold back and come again.
  [[nodiscard]] element* take() noexcept {
    if (free_ == nullptr)
      free_ = returned_.exchange(nullptr, std::memory_order_acquire);
    auto* taken = free_;
    if (taken != nullptr)
      free_ = taken->next_free_;
    return taken;
  }
  [[nodiscard]] bool dry() const noexcept {
    return free_ == nullptr && returned_.load(std::memory_order_relaxed) == nullptr;
  }
  /// Hands a taken message over. `context`: the sending actor's execution unit.
  void send(const caf::actor& receiver, element* filled, caf::execution_unit* context) {
    filled->mid = caf::make_message_id();
    filled->next = nullptr;
    caf::actor_cast<caf::abstract_actor*>(receiver)->enqueue(caf::mailbox_element_ptr{filled},
                                                             context);
  }
  /// A taken message that is not sent after all.
  void put_back(element* unused) noexcept { unused->request_deletion(false); }

 private:
  friend class owned_message<T>;
  void give_back(element& done) noexcept {
    auto* head = returned_.load(std::memory_order_relaxed);
    do {
      done.next_free_ = head;
    } while (!returned_.compare_exchange_weak(head, &done, std::memory_order_release,
                                              std::memory_order_relaxed));
  }

  std::vector<std::unique_ptr<element>> store_;
  element* free_ = nullptr; // the sender's
  alignas(64) std::atomic<element*> returned_{nullptr};
};

} // namespace lance::runtime
