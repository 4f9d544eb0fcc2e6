// Addresses: IP addresses, IP endpoints, targets (a name or an address, with a port) and CIDR
// blocks.
#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "core/base/bytes.h"
#include "core/base/result.h"

struct sockaddr;
struct sockaddr_storage;

namespace tunproxy {

/// An IPv4 or IPv6 address. IPv4-mapped IPv6 addresses stay IPv6 unless unmapped() is called.
class IpAddress {
 public:
  IpAddress() = default;  ///< 0.0.0.0
  static IpAddress v4(const uint8_t bytes[4]);
  static IpAddress v6(const uint8_t bytes[16]);
  /// "192.0.2.1", "2001:db8::1", "[2001:db8::1]". No names, no zone.
  static Result<IpAddress> parse(std::string_view text);

  bool is_v4() const { return length_ == 4; }
  bool is_v6() const { return length_ == 16; }
  Bytes bytes() const { return {bytes_.data(), length_}; }  ///< 4 or 16, network order
  bool is_any() const;
  bool is_loopback() const;
  bool is_multicast() const;
  IpAddress unmapped() const;     ///< ::ffff:192.0.2.1 → 192.0.2.1
  std::string to_string() const;  ///< without brackets

  auto operator<=>(const IpAddress&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
  uint8_t length_ = 4;
};

/// An address and a port.
struct Endpoint {
  IpAddress address;
  uint16_t port = 0;

  /// "192.0.2.1:80", "[2001:db8::1]:80"; without a port only if default_port is not 0.
  static Result<Endpoint> parse(std::string_view text, uint16_t default_port = 0);
  static Endpoint from(const sockaddr* address);      ///< REQUIRES: AF_INET or AF_INET6
  unsigned to_sockaddr(sockaddr_storage* out) const;  ///< returns the length used
  std::string to_string() const;

  auto operator<=>(const Endpoint&) const = default;
};

/// Where a flow wants to go: a name (resolved at the far end) or an address, and a port.
class Target {
 public:
  static constexpr size_t kMaxName = 255;

  Target() = default;
  Target(IpAddress address, uint16_t port) : address_(address), port_(port) {}
  Target(const Endpoint& endpoint) : Target(endpoint.address, endpoint.port) {}  // NOLINT
  /// A name; text that is an address becomes one. REQUIRES: valid_name(host) or an address.
  static Target from_host(std::string_view host, uint16_t port);
  /// "host:port", "[v6]:port"; without a port only if default_port is not 0.
  static Result<Target> parse(std::string_view text, uint16_t default_port = 0);
  /// 1–255 bytes, no control bytes, space or NUL (what a resolver or an SSH server may be asked).
  static bool valid_name(std::string_view name);
  /// Only letters, digits, '-', '_' and '.': the same name to every resolver. Some make such a name
  /// of others: of dots and letters of other scripts, or of "\." and "\097".
  static bool plain_name(std::string_view name);

  bool is_name() const { return !name_.empty(); }
  const std::string& name() const { return name_; }
  const IpAddress& address() const { return address_; }  ///< REQUIRES: !is_name()
  uint16_t port() const { return port_; }
  std::string host() const { return is_name() ? name_ : address_.to_string(); }
  std::string to_string() const;

  bool operator==(const Target&) const = default;

 private:
  std::string name_;
  IpAddress address_;
  uint16_t port_ = 0;
};

/// An address block, "10.0.0.0/8"; a bare address is a block of one. Host bits must be zero.
struct Cidr {
  IpAddress address;
  uint8_t prefix = 0;

  static Result<Cidr> parse(std::string_view text);
  bool contains(const IpAddress& other) const;
  std::string to_string() const;

  bool operator==(const Cidr&) const = default;
};

/// A port, 1–65535.
Result<uint16_t> parse_port(std::string_view text);

}  // namespace tunproxy

template <>
struct std::hash<tunproxy::IpAddress> {
  size_t operator()(const tunproxy::IpAddress& address) const noexcept;
};
template <>
struct std::hash<tunproxy::Endpoint> {
  size_t operator()(const tunproxy::Endpoint& endpoint) const noexcept;
};
