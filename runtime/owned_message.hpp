// Messages between lane actors that own buffers and allocate nothing: a mailbox element that comes
// from its sender's pool and returns there when its last holder lets go. CAF asks an element to
// delete itself through memory_managed::request_deletion: that is the hook.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include <caf/actor.hpp>
#include <caf/actor_cast.hpp>
#include <caf/mailbox_element.hpp>
#include <caf/message.hpp>
#include <caf/message_id.hpp>
#include <caf/sec.hpp>
#include <caf/type_erased_tuple.hpp>

namespace lance::runtime {

template <class T>
class message_pool;
template <class T>
class owned_message;

/// A handle of one pooled message; what handlers receive: `[this](message_ref<frames>& m)`. A
/// handler that is not done with the content moves the handle out and keeps it; dropping the last
/// handle, on any thread, calls T::recycle() and returns the message to its pool.
template <class T>
class message_ref {
 public:
  message_ref() noexcept = default;
  message_ref(message_ref&& other) noexcept : element_(std::exchange(other.element_, nullptr)) {}
  message_ref& operator=(message_ref&& other) noexcept {
    if (this != &other) {
      reset();
      element_ = std::exchange(other.element_, nullptr);
    }
    return *this;
  }
  message_ref(const message_ref&) = delete;
  message_ref& operator=(const message_ref&) = delete;
  ~message_ref() { reset(); }

  void reset() noexcept {
    if (auto* element = std::exchange(element_, nullptr))
      element->release();
  }
  T* operator->() const noexcept { return &element_->value; }
  T& operator*() const noexcept { return element_->value; }
  explicit operator bool() const noexcept { return element_ != nullptr; }

 private:
  friend class message_pool<T>;
  friend class owned_message<T>;
  explicit message_ref(owned_message<T>* element) noexcept : element_(element) {}
  owned_message<T>* element_ = nullptr;
};

/// One preallocated message. Held by handles and, while it travels, by a mailbox.
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
    self->travelling_.reset();
    self->release();
  }

  using caf::type_erased_tuple::copy;
  using caf::type_erased_tuple::load;
  using caf::type_erased_tuple::save;
  void* get_mutable(std::size_t) override { return &travelling_; }
  const void* get(std::size_t) const noexcept override { return &travelling_; }
  std::size_t size() const noexcept override { return 1; }
  std::uint32_t type_token() const noexcept override {
    return caf::make_type_token<message_ref<T>>();
  }
  caf::rtti_pair type(std::size_t) const noexcept override {
    return caf::make_rtti_pair<message_ref<T>>();
  }
  std::string stringify(std::size_t) const override { return "<owned message>"; }
  caf::type_erased_value_ptr copy(std::size_t) const override { return nullptr; }
  caf::error load(std::size_t, caf::deserializer&) override { return caf::sec::invalid_argument; }
  caf::error save(std::size_t, caf::serializer&) const override {
    return caf::sec::invalid_argument;
  }

 private:
  friend class message_pool<T>;
  friend class message_ref<T>;
  void release() noexcept {
    if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
      value.recycle();
      home_.give_back(*this);
    }
  }

  message_pool<T>& home_;
  message_ref<T> travelling_; // the content: the handle of this very message
  owned_message* next_free_ = nullptr;
  std::atomic<std::uint32_t> references_{0};
};

/// Messages made once. One thread takes and sends; any thread gives back. Outlives the actor
/// system.
template <class T>
class message_pool {
 public:
  explicit message_pool(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      auto& made = *store_.emplace_back(std::make_unique<owned_message<T>>(*this));
      made.next_free_ = free_;
      free_ = &made;
    }
  }

  /// A message to fill, or an empty handle: all are under way, hold back and come again; the waker
  /// is then called once when one has returned.
  [[nodiscard]] message_ref<T> take() noexcept {
    if (free_ == nullptr) {
      free_ = returned_.exchange(nullptr, std::memory_order_acquire);
      if (free_ == nullptr) {
        dry_.store(true, std::memory_order_seq_cst);
        free_ = returned_.exchange(nullptr, std::memory_order_seq_cst);
        if (free_ == nullptr)
          return {};
        dry_.store(false, std::memory_order_relaxed);
      }
    }
    auto* taken = free_;
    free_ = taken->next_free_;
    taken->references_.store(1, std::memory_order_relaxed);
    return message_ref<T>{taken};
  }

  /// Hands a filled message over. `context`: the sending actor's execution unit, null elsewhere.
  void send(const caf::actor& receiver, message_ref<T> filled, caf::execution_unit* context) {
    auto* element = filled.element_;
    element->references_.fetch_add(1, std::memory_order_relaxed); // the mailbox's
    element->travelling_ = std::move(filled);
    element->mid = caf::make_message_id();
    element->next = nullptr;
    caf::actor_cast<caf::abstract_actor*>(receiver)->enqueue(caf::mailbox_element_ptr{element},
                                                             context);
  }

  /// Share of the messages that are not here, 0 to 1. The sender's thread; walks the others.
  [[nodiscard]] double under_way() const noexcept {
    std::size_t here = 0;
    for (const auto* list : {free_, returned_.load(std::memory_order_acquire)})
      for (const auto* each = list; each != nullptr; each = each->next_free_)
        ++here;
    const auto all = static_cast<double>(store_.size());
    return store_.empty() ? 0 : (all - static_cast<double>(here)) / all;
  }

  /// Called on the thread that returns a message after take() had come back empty. Set before use.
  void on_return(void (*waker)(void*), void* context) noexcept {
    waker_ = waker;
    waker_context_ = context;
  }

 private:
  friend class owned_message<T>;
  void give_back(owned_message<T>& done) noexcept {
    auto* head = returned_.load(std::memory_order_relaxed);
    do {
      done.next_free_ = head;
    } while (!returned_.compare_exchange_weak(head, &done, std::memory_order_seq_cst,
                                              std::memory_order_relaxed));
    if (dry_.load(std::memory_order_seq_cst) && dry_.exchange(false) && waker_ != nullptr)
      waker_(waker_context_);
  }

  std::vector<std::unique_ptr<owned_message<T>>> store_;
  owned_message<T>* free_ = nullptr; // the sender's
  void (*waker_)(void*) = nullptr;
  void* waker_context_ = nullptr;
  alignas(64) std::atomic<owned_message<T>*> returned_{nullptr};
  std::atomic<bool> dry_{false};
};

} // namespace lance::runtime
