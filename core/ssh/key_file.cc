#include "core/ssh/key_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <openssl/bio.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "core/base/log.h"
#include "core/base/unique_fd.h"
#include "core/ssh/certificate.h"
#include "core/ssh/fingerprint.h"

namespace tunproxy::ssh {
namespace {

constexpr size_t kMaxKeyFile = 256 * 1024;
constexpr std::string_view kOpensshBegin = "-----BEGIN OPENSSH PRIVATE KEY-----";
constexpr std::string_view kOpensshEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kOpensshMagic("openssh-key-v1\0", 15);

Error unusable(const std::string& path, std::string_view why) {
  return {ErrorCode::usage, fmt::format("key file {}: {}", display_path(path), why)};
}

Result<Secret> read_file(const std::string& path, bool private_key) {
  const UniqueFd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd) return unusable(path, std::strerror(errno));
  struct stat status {};
  if (::fstat(fd.get(), &status) != 0) return unusable(path, std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return unusable(path, "not a file");
  if (private_key && status.st_uid == ::getuid() && (status.st_mode & 077) != 0) {
    return unusable(path,
                    fmt::format("its permissions {:04o} let others use it; this key is ignored "
                                "until you run: chmod 600 '{}'",
                                status.st_mode & 07777, path));
  }
  if (static_cast<size_t>(status.st_size) > kMaxKeyFile)
    return unusable(path, "not a key (too big)");
  std::string text(static_cast<size_t>(status.st_size), '\0');
  const ssize_t n = ::read(fd.get(), text.data(), text.size());
  if (n != static_cast<ssize_t>(text.size())) return unusable(path, "cannot be read");
  return Secret::take(text);
}

/// The decoded body between the lines BEGIN and END; wiped by its owner.
std::optional<ByteVector> openssh_body(std::string_view text) {
  const size_t begin = text.find(kOpensshBegin);
  const size_t end = text.find(kOpensshEnd);
  if (begin == text.npos || end == text.npos || end < begin) return std::nullopt;
  std::string base64;
  base64.reserve(text.size());  // so that growing leaves no copies
  for (const char c :
       text.substr(begin + kOpensshBegin.size(), end - begin - kOpensshBegin.size())) {
    if (c != '\n' && c != '\r') base64 += c;
  }
  auto body = base64_decode(base64);
  OPENSSL_cleanse(base64.data(), base64.size());
  return body;
}

/// libssh2 reads past the end of keys that are encrypted with chacha20.
bool cipher_is_supported(std::string_view cipher) {
  return cipher.starts_with("aes") || cipher == "3des-cbc";
}

/// The part before the private section (PROTOCOL.key of OpenSSH): cipher, key derivation and its
/// options, number of keys, public key.
bool read_openssh_header(Bytes body, KeyFile& key, bool& unsupported) {
  if (!as_text(body).starts_with(kOpensshMagic)) return false;
  body = body.subspan(kOpensshMagic.size());
  const auto cipher = take_string(body);
  const auto derivation = take_string(body);
  const auto options = take_string(body);
  if (!cipher || !derivation || !options || body.size() < 4 || load_be32(body.data()) != 1) {
    return false;
  }
  body = body.subspan(4);
  const auto blob = take_string(body);
  if (!blob || key_type(*blob).empty()) return false;
  key.encrypted = as_text(*cipher) != "none";
  unsupported = key.encrypted && !cipher_is_supported(as_text(*cipher));
  key.public_blob.assign(blob->begin(), blob->end());
  return true;
}

bool recognise_openssh(KeyFile& key, bool& unsupported) {
  auto body = openssh_body(key.content.text());
  if (!body) return false;
  key.format = KeyFile::Format::openssh;
  const bool valid = read_openssh_header(*body, key, unsupported);
  OPENSSL_cleanse(body->data(), body->size());
  return valid;
}

bool recognise_pem(KeyFile& key) {
  const std::string_view text = key.content.text();
  const size_t begin = text.find("-----BEGIN ");
  if (begin == text.npos) return false;
  const std::string_view label = text.substr(begin, text.find('\n', begin) - begin);
  if (label.find("PRIVATE KEY-----") == label.npos || label.find("OPENSSH") != label.npos)
    return false;
  key.format = KeyFile::Format::pem;
  key.encrypted =
      label.find("ENCRYPTED") != label.npos || text.find("Proc-Type: 4,ENCRYPTED") != text.npos;
  return true;
}

}  // namespace

ByteVector parse_public_key(std::string_view line) {
  const size_t space = line.find_first_of(" \t");
  if (space == line.npos) return {};
  const std::string_view rest = line.substr(space + 1);
  auto blob = base64_decode(rest.substr(0, rest.find_first_of(" \r\n")));
  if (!blob || key_type(*blob) != line.substr(0, space)) return {};
  return std::move(*blob);
}

Result<ByteVector> read_certificate(const std::string& path) {
  auto content = read_file(path, false);
  if (!content) return content.error();
  ByteVector blob = parse_public_key(content->text());
  if (!is_certificate(key_type(blob))) return unusable(path, "not a certificate");
  if (auto certificate = parse_certificate(blob); !certificate) {
    return unusable(path, certificate.error().message);
  }
  return blob;
}

namespace {

// Errors say only what is wrong.
Result<void> recognise(KeyFile& key) {
  const auto wrong = [](std::string why) { return Error{ErrorCode::usage, std::move(why)}; };
  if (key.content.size() > kMaxKeyFile) return wrong("not a key (too big)");
  if (key.content.text().starts_with("PuTTY-User-Key-File")) {
    return wrong("PuTTY's format; convert it with: puttygen KEY -O private-openssh");
  }
  bool unsupported = false;
  if (!recognise_openssh(key, unsupported) && !recognise_pem(key)) {
    return wrong("not a private key");
  }
  if (unsupported) {
    return wrong(fmt::format("its encryption is not supported; change it with: ssh-keygen -p -f {}",
                             key.path.empty() ? "FILE" : "'" + key.path + "'"));
  }
  if (!key.encrypted && !key.may_open_with(Secret())) {
    return wrong("damaged, or of a kind that is not supported");
  }
  return {};
}

/// A certificate that is no good is none: the key itself may do.
void find_certificate(KeyFile& key, const std::string& path) {
  if (::access(path.c_str(), F_OK) != 0) return;
  auto certificate = read_certificate(path);
  if (certificate) {
    key.certificate = std::move(*certificate);
  } else {
    log::warn("{}", certificate.error().message);
  }
}

}  // namespace

Result<KeyFile> KeyFile::read(const std::string& path) {
  const bool named_public = path.ends_with(".pub");
  auto content = read_file(path, !named_public);
  if (!content) return content.error();
  KeyFile key;
  key.path = path;
  key.content = std::move(*content);
  if (named_public) {
    key.format = Format::public_only;
    key.public_blob = parse_public_key(key.content.text());
    if (key.public_blob.empty()) return unusable(path, "not a public key");
    find_certificate(key, path.substr(0, path.size() - 4) + "-cert.pub");
    return key;
  }
  if (auto known = recognise(key); !known) return unusable(path, known.error().message);
  if (key.public_blob.empty()) {
    if (auto beside = read_file(path + ".pub", false)) {
      key.public_blob = parse_public_key(beside->text());
    }
  }
  find_certificate(key, path + "-cert.pub");
  return key;
}

Result<KeyFile> KeyFile::from_memory(std::string name, Secret content,
                                     std::optional<Secret> passphrase,
                                     std::string_view certificate) {
  KeyFile key;
  key.content = std::move(content);
  key.known_passphrase = std::move(passphrase);
  if (auto known = recognise(key); !known) {
    return Error{ErrorCode::usage,
                 name.empty() ? known.error().message : name + ": " + known.error().message};
  }
  key.path = std::move(name);
  if (!certificate.empty()) {
    key.certificate = parse_public_key(certificate);
    if (!parse_certificate(key.certificate)) {
      return unusable(key.path, "what is given as its certificate is none");
    }
  }
  return key;
}

bool KeyFile::may_open_with(const Secret& passphrase) const {
  if (format != Format::pem) return true;
  BIO* bio = BIO_new_mem_buf(content.c_str(), static_cast<int>(content.size()));
  if (bio == nullptr) return true;
  // With a callback of its own OpenSSL never asks on the terminal.
  const auto give = [](char* to, int size, int, void* secret) {
    const std::string_view text = static_cast<const Secret*>(secret)->text();
    if (text.size() > static_cast<size_t>(size)) return -1;
    text.copy(to, text.size());
    return static_cast<int>(text.size());
  };
  EVP_PKEY* key = PEM_read_bio_PrivateKey(bio, nullptr, give, const_cast<Secret*>(&passphrase));
  BIO_free(bio);
  EVP_PKEY_free(key);
  ERR_clear_error();
  return key != nullptr;
}

}  // namespace tunproxy::ssh
