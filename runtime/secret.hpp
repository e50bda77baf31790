// Secrets: made, turned into what may lie on a disk, and compared so that the time it takes says
// nothing about how far they agree. The only file pair beside tls that knows OpenSSL.
//
// Any thread.
#pragma once

#include <array>
#include <cstddef>
#include <string>

#include "runtime/bytes.hpp"
#include "runtime/result.hpp"

namespace lance::runtime {

/// SHA-256 of a secret. A secret of ours has 256 random bits, so that nothing slower is needed to
/// keep it from being guessed out of its hash.
using secret_hash = std::array<std::byte, 32>;

[[nodiscard]] secret_hash hash_secret(byte_view secret) noexcept;

/// True when they are equal; as fast for those that differ early as for those that do late.
[[nodiscard]] bool same_secret(const secret_hash& a, const secret_hash& b) noexcept;

/// A new secret in URL-safe base64 without padding, 43 characters for 256 random bits. Errors:
/// io_failed (the kernel gave no randomness).
[[nodiscard]] result<std::string> make_secret();

/// Lower-case hexadecimal digits of a hash, and back. Errors: bad_format.
[[nodiscard]] std::string to_hex(const secret_hash& hash);
[[nodiscard]] result<secret_hash> hash_from_hex(std::string_view text) noexcept;

} // namespace lance::runtime
