#include "core/ssh/fingerprint.h"

#include <openssl/evp.h>

#include <array>
#include <cstdlib>

namespace tunproxy::ssh {

std::string base64_encode(Bytes bytes) {
  std::string text((bytes.size() + 2) / 3 * 4, '\0');
  EVP_EncodeBlock(reinterpret_cast<unsigned char*>(text.data()), bytes.data(),
                  static_cast<int>(bytes.size()));
  return text;
}

std::optional<ByteVector> base64_decode(std::string_view text) {
  if (text.empty() || text.size() % 4 != 0 || text.size() > 64 * 1024) return std::nullopt;
  // EVP_DecodeBlock skips white space and reads padding as zero bytes, so both are settled here.
  const size_t last = text.find_last_not_of('=');
  const size_t padding = last == text.npos ? text.size() : text.size() - 1 - last;
  if (padding > 2) return std::nullopt;
  if (text.find_first_of(" \t\r\n-=") < text.size() - padding) return std::nullopt;
  ByteVector bytes(text.size() / 4 * 3);
  const int decoded =
      EVP_DecodeBlock(bytes.data(), reinterpret_cast<const unsigned char*>(text.data()),
                      static_cast<int>(text.size()));
  if (decoded != static_cast<int>(bytes.size())) return std::nullopt;
  bytes.resize(bytes.size() - padding);
  return bytes;
}

std::string fingerprint(Bytes blob) {
  std::array<uint8_t, EVP_MAX_MD_SIZE> digest{};
  unsigned length = 0;
  if (EVP_Digest(blob.data(), blob.size(), digest.data(), &length, EVP_sha256(), nullptr) != 1) {
    return "SHA256:?";
  }
  std::string text = base64_encode({digest.data(), length});
  text.erase(text.find_last_not_of('=') + 1);
  return "SHA256:" + text;
}

std::optional<Bytes> take_string(Bytes& from) {
  if (from.size() < 4) return std::nullopt;
  const uint32_t length = load_be32(from.data());
  if (length > from.size() - 4) return std::nullopt;
  const Bytes taken = from.subspan(4, length);
  from = from.subspan(4 + length);
  return taken;
}

void append_string(ByteVector& to, Bytes bytes) {
  uint8_t length[4];
  store_be32(length, static_cast<uint32_t>(bytes.size()));
  append(to, length);
  append(to, bytes);
}

std::string_view key_type(Bytes blob) {
  const auto name = take_string(blob);
  return name ? as_text(*name) : std::string_view();
}

std::string display_type(std::string_view type) {
  if (type == "ssh-ed25519") return "ED25519";
  if (type == "ssh-rsa") return "RSA";
  if (type == "ssh-dss") return "DSA";
  if (type.starts_with("ecdsa-sha2-"))
    return type.find("cert") == type.npos ? "ECDSA" : "ECDSA-CERT";
  if (type == "sk-ssh-ed25519@openssh.com") return "ED25519-SK";
  if (type == "sk-ecdsa-sha2-nistp256@openssh.com") return "ECDSA-SK";
  return std::string(type);
}

std::string describe_key(Bytes blob) {
  return display_type(key_type(blob)) + " " + fingerprint(blob);
}

std::string display_path(const std::string& path) {
  const char* home = std::getenv("HOME");
  if (home == nullptr || *home == '\0') return path;
  const std::string_view prefix = home;
  if (prefix == "/" || !path.starts_with(prefix) || path[prefix.size()] != '/') return path;
  return std::string("~").append(path, prefix.size());
}

}  // namespace tunproxy::ssh
