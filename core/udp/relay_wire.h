// The relay protocol: what we and the helper at the SSH server say to each other. Pure.
//
//   u32 length | u8 type | u16 0 | u32 connection | body         (the length does not count itself)
//
// The helper begins with its magic (see find_relay_magic), as a login shell may print something
// first.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "core/base/address.h"
#include "core/base/bytes.h"
#include "core/base/result.h"
#include "core/rules/far_rule.h"

namespace tunproxy::udp {

inline constexpr size_t kRelayMaxMessage = 66000;  ///< without the length
inline constexpr size_t kRelayMaxBanner = 64 * 1024;

struct OpenConnection {  // 14
  Target target;         ///< an address travels as text
  bool operator==(const OpenConnection&) const = default;
};
struct CloseConnection {  // 15
  uint8_t reason = 0;     ///< a SOCKS5 reply code
  std::string text;
  bool operator==(const CloseConnection&) const = default;
};
struct SendEof {  // 104
  bool operator==(const SendEof&) const = default;
};
struct UdpAssociate {  // 201
  std::optional<Target> wished;
  bool operator==(const UdpAssociate&) const = default;
};
struct UdpAssociateOpened {  // 202
  Target bound;
  bool operator==(const UdpAssociateOpened&) const = default;
};
struct UdpPacket {  // 203: behind a SOCKS5 UDP header; its fragment number is always 0
  Target address;
  Bytes data;
};
struct UdpAssociateClosed {  // 204
  uint8_t reason = 0;
  std::string text;
  bool operator==(const UdpAssociateClosed&) const = default;
};
struct Hello {  // 220: both begin with it
  static constexpr uint16_t kVersion = 2;
  using Nonce = std::array<uint8_t, 16>;

  uint16_t version = kVersion;
  Nonce nonce{};          ///< the client's; the helper repeats it
  uint32_t features = 0;  ///< bits; unknown ones are ignored
  uint32_t max_associations = 0;
  bool operator==(const Hello&) const = default;
};
struct Ping {  // 221; answered by a Pong with the same token
  uint32_t token = 0;
  bool operator==(const Ping&) const = default;
};
struct Pong {  // 222
  uint32_t token = 0;
  bool operator==(const Pong&) const = default;
};
struct Resolve {  // 223: a DNS message for the server's own resolver
  Bytes message;
};
struct Resolved {  // 224
  Bytes message;
};
struct Data {  // 225: of a TCP connection
  Bytes bytes;
};
struct Credit {  // 226: so many more bytes may be sent
  uint32_t bytes = 0;
  bool operator==(const Credit&) const = default;
};
/// Which datagrams the helper sends; in force when the last part has come, in place of those
/// before.
struct Rules {  // 227
  /// Beyond that they are a mistake.
  static constexpr size_t kMaxRules = 16384;
  static constexpr size_t kMaxEach = 2048;  ///< in one message

  bool more = false;  ///< another part follows
  std::vector<rules::FarRule> rules;
  bool operator==(const Rules&) const = default;
};
/// What the helper dropped, since it began and why. It tells by itself, but not often.
struct Stats {              // 228
  uint64_t denied = 0;      ///< by a rule
  uint64_t failed = 0;      ///< not taken by the kernel
  uint64_t unresolved = 0;  ///< for a name that has no address, or for one too many
  uint64_t unclaimed = 0;   ///< for an association that is gone
  uint64_t too_old = 0;     ///< towards the client
  uint64_t too_many = 0;    ///< towards the client
  bool operator==(const Stats&) const = default;
};
/// A type that we do not know: to be skipped.
struct Unknown {
  uint8_t type = 0;
};

using RelayBody = std::variant<OpenConnection, CloseConnection, SendEof, UdpAssociate,
                               UdpAssociateOpened, UdpPacket, UdpAssociateClosed, Hello, Ping, Pong,
                               Resolve, Resolved, Data, Credit, Rules, Stats, Unknown>;

struct RelayMessage {
  uint32_t connection = 0;
  RelayBody body;
};

/// nullopt: more bytes are needed. On success `input` moves behind the message, and spans of the
/// body lie in the bytes that were decoded. Error protocol for one that is too long or malformed:
/// it ends the channel.
Result<std::optional<RelayMessage>> decode_relay(Bytes& input);
/// Appends; Error limit if it would be longer than kRelayMaxMessage. REQUIRES: not Unknown
Result<void> encode(const RelayMessage& message, ByteVector& to);

/// The helper's first bytes, which its messages follow.
ByteVector relay_magic(const Hello::Nonce& nonce);
/// Where the bytes behind the magic begin; nullopt: it has not come yet. Error protocol if more
/// than kRelayMaxBanner bytes are not it.
Result<std::optional<size_t>> find_relay_magic(Bytes input, const Hello::Nonce& nonce);

}  // namespace tunproxy::udp
