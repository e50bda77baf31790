// Certificates made on the spot: an authority, and what it signs, as files in a directory of the
// test's own.
#pragma once

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <filesystem>
#include <memory>
#include <string>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

namespace lance::runtime::testing {

struct wanted_certificate {
  std::string name; ///< of the files, and the subject's common name
  std::string alternatives = "DNS:localhost,IP:127.0.0.1"; ///< subjectAltName
  long begins_in_s = -3600;
  long ends_in_s = 24 * 3600;
  bool authority = false;
};

/// A certificate and its key, in memory and as `<directory>/<name>.crt` and `.key`.
class certificate {
 public:
  certificate(const std::filesystem::path& directory, const wanted_certificate& wanted,
              const certificate* issuer = nullptr)
      : key_(EVP_EC_gen("P-256"), &EVP_PKEY_free), certificate_(X509_new(), &X509_free) {
    static long serial = 1;
    auto* made = certificate_.get();
    X509_set_version(made, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(made), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(made), wanted.begins_in_s);
    X509_gmtime_adj(X509_getm_notAfter(made), wanted.ends_in_s);
    X509_set_pubkey(made, key_.get());
    auto* subject = X509_get_subject_name(made);
    X509_NAME_add_entry_by_txt(subject, "CN", MBSTRING_ASC,
                               reinterpret_cast<const unsigned char*>(wanted.name.c_str()), -1, -1,
                               0);
    const auto* signer = issuer != nullptr ? issuer : this;
    X509_set_issuer_name(made, X509_get_subject_name(signer->certificate_.get()));
    extend(signer, NID_basic_constraints, wanted.authority ? "critical,CA:TRUE" : "CA:FALSE");
    if (!wanted.authority && !wanted.alternatives.empty())
      extend(signer, NID_subject_alt_name, wanted.alternatives);
    X509_sign(made, signer->key_.get(), EVP_sha256());
    cert_path = (directory / (wanted.name + ".crt")).string();
    key_path = (directory / (wanted.name + ".key")).string();
    write(cert_path, [&](FILE* to) { return PEM_write_X509(to, made); });
    write(key_path, [&](FILE* to) {
      return PEM_write_PrivateKey(to, key_.get(), nullptr, nullptr, 0, nullptr, nullptr);
    });
  }

  std::string cert_path;
  std::string key_path;

 private:
  void extend(const certificate* signer, int kind, const std::string& value) {
    X509V3_CTX context;
    X509V3_set_ctx_nodb(&context);
    X509V3_set_ctx(&context, signer->certificate_.get(), certificate_.get(), nullptr, nullptr, 0);
    auto* extension = X509V3_EXT_conf_nid(nullptr, &context, kind, value.c_str());
    X509_add_ext(certificate_.get(), extension, -1);
    X509_EXTENSION_free(extension);
  }
  template <class Put>
  static void write(const std::string& path, Put put) {
    FILE* to = std::fopen(path.c_str(), "w");
    if (to == nullptr || put(to) != 1)
      std::abort();
    std::fclose(to);
  }

  std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key_;
  std::unique_ptr<X509, decltype(&X509_free)> certificate_;
};

/// A directory that goes with the test.
class certificate_directory {
 public:
  certificate_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "lance-tls-XXXXXX").string();
    if (::mkdtemp(pattern.data()) == nullptr)
      std::abort();
    path = pattern;
  }
  ~certificate_directory() {
    std::error_code ignored;
    std::filesystem::remove_all(path, ignored);
  }
  certificate_directory(const certificate_directory&) = delete;
  certificate_directory& operator=(const certificate_directory&) = delete;

  std::filesystem::path path;
};

} // namespace lance::runtime::testing
