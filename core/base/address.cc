#include "core/base/address.h"

#include <arpa/inet.h>
#include <fmt/core.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cassert>
#include <charconv>
#include <optional>

namespace tunproxy {
namespace {

Error bad(std::string_view text, std::string_view expected) {
  return {ErrorCode::usage, fmt::format("'{}' is not {}", text, expected)};
}

struct HostPort {
  std::string_view host;
  std::string_view port;  // empty: none given
};

// "host", "host:port", "[v6]", "[v6]:port", "v6" (two colons or more and no brackets).
std::optional<HostPort> split_host_port(std::string_view text) {
  if (text.starts_with('[')) {
    const size_t close = text.find(']');
    if (close == std::string_view::npos) return std::nullopt;
    const std::string_view host = text.substr(1, close - 1);
    const std::string_view rest = text.substr(close + 1);
    if (rest.empty()) return HostPort{host, {}};
    if (rest.size() < 2 || rest[0] != ':') return std::nullopt;
    return HostPort{host, rest.substr(1)};
  }
  const size_t colon = text.find(':');
  if (colon == std::string_view::npos || text.find(':', colon + 1) != std::string_view::npos) {
    return HostPort{text, {}};
  }
  if (colon + 1 == text.size()) return std::nullopt;
  return HostPort{text.substr(0, colon), text.substr(colon + 1)};
}

Result<uint16_t> port_or_default(std::string_view port, uint16_t default_port,
                                 std::string_view text) {
  if (!port.empty()) return parse_port(port);
  if (default_port != 0) return default_port;
  return bad(text, "HOST:PORT: the port is missing");
}

bool all_zero(Bytes bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
}

constexpr uint8_t kMappedPrefix[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

size_t hash_bytes(Bytes bytes) {
  return std::hash<std::string_view>{}(as_text(bytes));
}

}  // namespace

IpAddress IpAddress::v4(const uint8_t bytes[4]) {
  IpAddress address;
  std::memcpy(address.bytes_.data(), bytes, 4);
  return address;
}

IpAddress IpAddress::v6(const uint8_t bytes[16]) {
  IpAddress address;
  std::memcpy(address.bytes_.data(), bytes, 16);
  address.length_ = 16;
  return address;
}

Result<IpAddress> IpAddress::parse(std::string_view text) {
  std::string bare(text);
  if (bare.size() > 2 && bare.front() == '[' && bare.back() == ']') {
    bare = bare.substr(1, bare.size() - 2);
  }
  uint8_t bytes[16];
  if (bare.find('\0') == std::string::npos) {
    if (inet_pton(AF_INET, bare.c_str(), bytes) == 1 && bare == text) return v4(bytes);
    if (inet_pton(AF_INET6, bare.c_str(), bytes) == 1) return v6(bytes);
  }
  return bad(text, "an IP address");
}

bool IpAddress::is_any() const {
  return all_zero(bytes());
}

bool IpAddress::is_loopback() const {
  if (is_v4()) return bytes_[0] == 127;
  return all_zero(bytes().first(15)) && bytes_[15] == 1;
}

bool IpAddress::is_multicast() const {
  return is_v4() ? (bytes_[0] & 0xf0) == 0xe0 : bytes_[0] == 0xff;
}

IpAddress IpAddress::unmapped() const {
  if (is_v4() || std::memcmp(bytes_.data(), kMappedPrefix, sizeof kMappedPrefix) != 0) return *this;
  return v4(bytes_.data() + sizeof kMappedPrefix);
}

std::string IpAddress::to_string() const {
  char text[INET6_ADDRSTRLEN];
  inet_ntop(is_v4() ? AF_INET : AF_INET6, bytes_.data(), text, sizeof text);
  return text;
}

Result<Endpoint> Endpoint::parse(std::string_view text, uint16_t default_port) {
  const auto parts = split_host_port(text);
  if (!parts) return bad(text, "ADDRESS:PORT");
  auto address = IpAddress::parse(parts->host);
  if (!address) return bad(text, "ADDRESS:PORT (the address must be numeric)");
  auto port = port_or_default(parts->port, default_port, text);
  if (!port) return port.error();
  return Endpoint{*address, *port};
}

Endpoint Endpoint::from(const sockaddr* address) {
  if (address->sa_family == AF_INET) {
    sockaddr_in in{};
    std::memcpy(&in, address, sizeof in);
    return {IpAddress::v4(reinterpret_cast<const uint8_t*>(&in.sin_addr)), ntohs(in.sin_port)};
  }
  assert(address->sa_family == AF_INET6);
  sockaddr_in6 in6{};
  std::memcpy(&in6, address, sizeof in6);
  return {IpAddress::v6(in6.sin6_addr.s6_addr), ntohs(in6.sin6_port)};
}

unsigned Endpoint::to_sockaddr(sockaddr_storage* out) const {
  std::memset(out, 0, sizeof *out);
  if (address.is_v4()) {
    auto* in = reinterpret_cast<sockaddr_in*>(out);
    in->sin_family = AF_INET;
    in->sin_port = htons(port);
    std::memcpy(&in->sin_addr, address.bytes().data(), 4);
    return sizeof *in;
  }
  auto* in6 = reinterpret_cast<sockaddr_in6*>(out);
  in6->sin6_family = AF_INET6;
  in6->sin6_port = htons(port);
  std::memcpy(&in6->sin6_addr, address.bytes().data(), 16);
  return sizeof *in6;
}

std::string Endpoint::to_string() const {
  if (address.is_v4()) return fmt::format("{}:{}", address.to_string(), port);
  return fmt::format("[{}]:{}", address.to_string(), port);
}

Target Target::from_host(std::string_view host, uint16_t port) {
  if (auto address = IpAddress::parse(host)) return {*address, port};
  assert(valid_name(host));
  Target target;
  target.name_ = host;
  target.port_ = port;
  return target;
}

Result<Target> Target::parse(std::string_view text, uint16_t default_port) {
  const auto parts = split_host_port(text);
  if (!parts || parts->host.empty()) return bad(text, "HOST:PORT");
  const bool is_address = IpAddress::parse(parts->host).has_value();
  if (!is_address && (text.starts_with('[') || parts->host.find(':') != std::string_view::npos ||
                      !valid_name(parts->host))) {
    return bad(text, "HOST:PORT");
  }
  auto port = port_or_default(parts->port, default_port, text);
  if (!port) return port.error();
  return from_host(parts->host, *port);
}

bool Target::valid_name(std::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(),
                     [](char c) { return static_cast<unsigned char>(c) > ' ' && c != 0x7f; });
}

bool Target::plain_name(std::string_view name) {
  return valid_name(name) && std::all_of(name.begin(), name.end(), [](char c) {
           const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
           return letter || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.';
         });
}

std::string Target::to_string() const {
  return is_name() ? fmt::format("{}:{}", name_, port_) : Endpoint{address_, port_}.to_string();
}

Result<Cidr> Cidr::parse(std::string_view text) {
  const size_t slash = text.find('/');
  auto address = IpAddress::parse(text.substr(0, slash));
  if (!address) return bad(text, "an address block such as 10.0.0.0/8 or 2001:db8::/32");
  const auto bits = static_cast<unsigned>(address->bytes().size() * 8);
  unsigned prefix = bits;
  if (slash != std::string_view::npos) {
    const std::string_view digits = text.substr(slash + 1);
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), prefix);
    if (digits.empty() || parsed.ec != std::errc() || parsed.ptr != digits.data() + digits.size() ||
        prefix > bits) {
      return bad(text, fmt::format("an address block: the prefix is 0 to {}", bits));
    }
  }
  const Cidr block{*address, static_cast<uint8_t>(prefix)};
  for (unsigned bit = prefix; bit < bits; ++bit) {
    if ((address->bytes()[bit / 8] >> (7 - bit % 8) & 1) != 0) {
      return bad(text, fmt::format("an address block: bits behind the /{} are set", prefix));
    }
  }
  return block;
}

bool Cidr::contains(const IpAddress& other) const {
  if (other.is_v4() != address.is_v4()) return false;
  const size_t whole = prefix / 8;
  const Bytes ours = address.bytes();
  const Bytes theirs = other.bytes();
  if (!std::equal(ours.begin(), ours.begin() + static_cast<ptrdiff_t>(whole), theirs.begin())) {
    return false;
  }
  const unsigned rest = prefix % 8;
  return rest == 0 || ((ours[whole] ^ theirs[whole]) >> (8 - rest)) == 0;
}

std::string Cidr::to_string() const {
  return fmt::format("{}/{}", address.to_string(), prefix);
}

Result<uint16_t> parse_port(std::string_view text) {
  unsigned port = 0;
  const auto parsed = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || parsed.ec != std::errc() || parsed.ptr != text.data() + text.size() ||
      port == 0 || port > 65535) {
    return bad(text, "a port (1 to 65535)");
  }
  return static_cast<uint16_t>(port);
}

}  // namespace tunproxy

size_t std::hash<tunproxy::IpAddress>::operator()(
    const tunproxy::IpAddress& address) const noexcept {
  return tunproxy::hash_bytes(address.bytes());
}

size_t std::hash<tunproxy::Endpoint>::operator()(
    const tunproxy::Endpoint& endpoint) const noexcept {
  return tunproxy::hash_bytes(endpoint.address.bytes()) * 31 + endpoint.port;
}
