#include "tests/unit/ssh_login/security_key.h"

#include <gtest/gtest.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/sha.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cstdlib>

#include "core/ssh/fingerprint.h"

namespace tunproxy::testing {
namespace {

using ssh::append_string;
using ssh::take_string;

constexpr std::string_view kApplication = "ssh:";
constexpr std::string_view kCurve = "nistp256";
constexpr uint8_t kUserPresent = 1;
constexpr uint8_t kRequestIdentities = 11, kIdentitiesAnswer = 12;
constexpr uint8_t kSignRequest = 13, kSignResponse = 14, kFailure = 5;

void append_number(ByteVector& to, uint32_t number) {
  uint8_t bytes[4];
  store_be32(bytes, number);
  append(to, bytes);
}

void append_digest(ByteVector& to, Bytes bytes) {
  uint8_t digest[SHA256_DIGEST_LENGTH];
  SHA256(bytes.data(), bytes.size(), digest);
  append(to, digest);
}

// An mpint (RFC 4251 §5) that is not negative.
void append_mpint(ByteVector& to, const BIGNUM* number) {
  ByteVector bytes(static_cast<size_t>(BN_num_bytes(number)) + 1);
  BN_bn2bin(number, bytes.data() + 1);
  const bool needs_sign_byte = (bytes[1] & 0x80) != 0;
  append_string(to, Bytes(bytes).subspan(needs_sign_byte ? 0 : 1));
}

}  // namespace

SecurityKey::SecurityKey(Type type)
    : type_(type),
      key_(type == Type::ed25519 ? EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519")
                                 : EVP_PKEY_Q_keygen(nullptr, nullptr, "EC", "P-256"),
           EVP_PKEY_free) {
  append_string(blob_, as_bytes(type_name()));
  if (type_ == Type::ecdsa) append_string(blob_, as_bytes(kCurve));
  append_string(blob_, point());
  append_string(blob_, as_bytes(kApplication));
}

std::string SecurityKey::type_name() const {
  return type_ == Type::ed25519 ? "sk-ssh-ed25519@openssh.com"
                                : "sk-ecdsa-sha2-nistp256@openssh.com";
}

ByteVector SecurityKey::point() const {
  ByteVector bytes(128);
  size_t length = bytes.size();
  if (type_ == Type::ed25519) {
    EVP_PKEY_get_raw_public_key(key_.get(), bytes.data(), &length);
  } else {
    EVP_PKEY_get_octet_string_param(key_.get(), OSSL_PKEY_PARAM_ENCODED_PUBLIC_KEY, bytes.data(),
                                    bytes.size(), &length);
  }
  bytes.resize(length);
  return bytes;
}

std::string SecurityKey::public_line() const {
  return type_name() + " " + ssh::base64_encode(blob_) + "\n";
}

std::string SecurityKey::file() const {
  ByteVector body;
  append(body, as_bytes(std::string_view("openssh-key-v1\0", 15)));
  append_string(body, as_bytes("none"));
  append_string(body, as_bytes("none"));
  append_string(body, {});
  append_number(body, 1);
  append_string(body, blob_);
  append_string(body, as_bytes("a handle that only the hardware understands"));
  return "-----BEGIN OPENSSH PRIVATE KEY-----\n" + ssh::base64_encode(body) +
         "\n-----END OPENSSH PRIVATE KEY-----\n";
}

ByteVector SecurityKey::sign(Bytes data) {
  const uint8_t flags = touched ? kUserPresent : 0;
  ByteVector message;
  append_digest(message, as_bytes(kApplication));
  message.push_back(flags);
  append_number(message, ++counter_);
  append_digest(message, data);

  ByteVector signature;
  append_string(signature, as_bytes(type_name()));
  append_string(signature, raw_signature(message));
  signature.push_back(flags);
  append_number(signature, counter_);
  return signature;
}

ByteVector SecurityKey::raw_signature(Bytes data) const {
  const std::unique_ptr<EVP_MD_CTX, void (*)(EVP_MD_CTX*)> context(EVP_MD_CTX_new(),
                                                                   EVP_MD_CTX_free);
  const EVP_MD* hash = type_ == Type::ed25519 ? nullptr : EVP_sha256();
  EVP_DigestSignInit(context.get(), nullptr, hash, nullptr, key_.get());
  ByteVector bytes(256);
  size_t length = bytes.size();
  EXPECT_EQ(EVP_DigestSign(context.get(), bytes.data(), &length, data.data(), data.size()), 1);
  bytes.resize(length);
  if (type_ == Type::ed25519) return bytes;
  const uint8_t* at = bytes.data();
  const std::unique_ptr<ECDSA_SIG, void (*)(ECDSA_SIG*)> both(
      d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(bytes.size())), ECDSA_SIG_free);
  ByteVector numbers;
  append_mpint(numbers, ECDSA_SIG_get0_r(both.get()));
  append_mpint(numbers, ECDSA_SIG_get0_s(both.get()));
  return numbers;
}

SecurityKeyAgent::SecurityKeyAgent(const ScratchDirectory& scratch, SecurityKey& key)
    : key_(key), listener_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
  const std::string path = scratch.path("security_key_agent");
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  path.copy(address.sun_path, sizeof address.sun_path - 1);
  EXPECT_EQ(::bind(listener_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  EXPECT_EQ(::listen(listener_.get(), 4), 0);
  ::setenv("SSH_AUTH_SOCK", path.c_str(), 1);
  thread_ = std::thread([this] { serve(); });
}

SecurityKeyAgent::~SecurityKeyAgent() {
  over_.set();
  thread_.join();
  ::unsetenv("SSH_AUTH_SOCK");
}

bool SecurityKeyAgent::wait_for(int fd) const {
  pollfd waits[] = {{fd, POLLIN, 0}, {over_.fd(), POLLIN, 0}};
  return ::poll(waits, 2, -1) > 0 && !over_.is_set();
}

// One client after the other.
void SecurityKeyAgent::serve() {
  while (wait_for(listener_.get())) {
    const UniqueFd client(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC));
    if (client) serve_client(client.get());
  }
}

void SecurityKeyAgent::serve_client(int fd) {
  ByteVector in;
  while (wait_for(fd)) {
    uint8_t buffer[4096];
    const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
    if (n <= 0) return;
    append(in, Bytes(buffer, static_cast<size_t>(n)));
    Bytes rest = in;
    const auto request = take_string(rest);
    if (!request) continue;
    ByteVector framed;
    append_string(framed, answer(*request));
    if (::send(fd, framed.data(), framed.size(), MSG_NOSIGNAL) < 0) return;
    in.clear();
  }
}

ByteVector SecurityKeyAgent::answer(Bytes request) {
  ByteVector reply;
  if (request[0] == kRequestIdentities) {
    reply.push_back(kIdentitiesAnswer);
    append_number(reply, 1);
    append_string(reply, key_.blob());
    append_string(reply, as_bytes("security key"));
    return reply;
  }
  request = request.subspan(1);
  const auto blob = take_string(request);
  const auto data = take_string(request);
  const Bytes ours = key_.blob();
  if (!data || !std::equal(blob->begin(), blob->end(), ours.begin(), ours.end())) return {kFailure};
  ++signatures_;
  reply.push_back(kSignResponse);
  append_string(reply, key_.sign(*data));
  return reply;
}

}  // namespace tunproxy::testing
