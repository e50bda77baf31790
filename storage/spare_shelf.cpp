#include "storage/spare_shelf.hpp"

#include "runtime/check.hpp"

namespace lance::storage {

bool recycle_budget::take(std::uint64_t bytes) noexcept {
  auto held = held_.load();
  do {
    if (on_hold_.load() || bytes > limit_ || held > limit_ - bytes)
      return false;
  } while (!held_.compare_exchange_weak(held, held + bytes));
  return true;
}

spare_shelf::~spare_shelf() {
  if (budget_ != nullptr)
    budget_->give_back(reserved_bytes_);
  for (const auto& each : kept_)
    budget_->give_back(each.bytes);
}

bool spare_shelf::reserve(std::uint64_t bytes) noexcept {
  if (budget_ == nullptr || kept_.size() + reserved_ >= most_ || !budget_->take(bytes))
    return false;
  ++reserved_;
  reserved_bytes_ += bytes;
  return true;
}

void spare_shelf::put(spare kept) {
  LANCE_CHECK(reserved_ > 0);
  --reserved_;
  reserved_bytes_ -= kept.bytes;
  kept_.push_back(std::move(kept));
}

void spare_shelf::forgo(std::uint64_t bytes) noexcept {
  LANCE_CHECK(reserved_ > 0);
  --reserved_;
  reserved_bytes_ -= bytes;
  budget_->give_back(bytes);
}

std::optional<spare_shelf::spare> spare_shelf::take() {
  if (kept_.empty())
    return std::nullopt;
  auto taken = std::move(kept_.back());
  kept_.pop_back();
  budget_->give_back(taken.bytes);
  return taken;
}

} // namespace lance::storage
