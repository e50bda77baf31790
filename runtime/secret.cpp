#include "runtime/secret.hpp"

#include <cerrno>

#include <openssl/crypto.h>
#include <openssl/sha.h>
#include <sys/random.h>

namespace lance::runtime {

secret_hash hash_secret(byte_view secret) noexcept {
  secret_hash hash;
  SHA256(reinterpret_cast<const unsigned char*>(secret.data()), secret.size(),
         reinterpret_cast<unsigned char*>(hash.data()));
  return hash;
}

bool same_secret(const secret_hash& a, const secret_hash& b) noexcept {
  return CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

result<std::string> make_secret() {
  std::array<unsigned char, 33> bits{}; // the last one is filling: eleven groups of three
  if (::getrandom(bits.data(), 32, 0) != 32)
    return fail(errc::io_failed, errno);
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  for (std::size_t at = 0; at < bits.size(); at += 3) {
    const auto group =
        static_cast<std::uint32_t>(bits[at] << 16 | bits[at + 1] << 8 | bits[at + 2]);
    for (int shift = 18; shift >= 0; shift -= 6)
      text += digits[group >> shift & 63];
  }
  text.pop_back(); // of the filling
  return text;
}

std::string to_hex(const secret_hash& hash) {
  std::string text;
  for (const auto each : hash) {
    text += "0123456789abcdef"[std::to_integer<unsigned>(each) >> 4];
    text += "0123456789abcdef"[std::to_integer<unsigned>(each) & 15];
  }
  return text;
}

result<secret_hash> hash_from_hex(std::string_view text) noexcept {
  secret_hash hash;
  if (text.size() != 2 * hash.size())
    return fail(errc::bad_format);
  for (std::size_t i = 0; i < hash.size(); ++i) {
    unsigned value = 0;
    for (const char c : text.substr(2 * i, 2)) {
      if (c >= '0' && c <= '9')
        value = value * 16 + static_cast<unsigned>(c - '0');
      else if (c >= 'a' && c <= 'f')
        value = value * 16 + static_cast<unsigned>(c - 'a' + 10);
      else
        return fail(errc::bad_format);
    }
    hash[i] = static_cast<std::byte>(value);
  }
  return hash;
}

} // namespace lance::runtime
