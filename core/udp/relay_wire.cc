#include "core/udp/relay_wire.h"

#include <algorithm>
#include <cassert>

#include "core/socks5/address_wire.h"
#include "core/socks5/cursor.h"
#include "core/socks5/wire.h"

namespace tunproxy::udp {
namespace {

using socks5::Cursor;

constexpr size_t kLengthSize = 4;
constexpr size_t kHeaderSize = 7;

// In the order of RelayBody's alternatives; Unknown has none.
constexpr std::array<uint8_t, 16> kTypes = {14,  15,  104, 201, 202, 203, 204, 220,
                                            221, 222, 223, 224, 225, 226, 227, 228};

void append_be32(ByteVector& to, uint32_t value) {
  append_be16(to, static_cast<uint16_t>(value >> 16));
  append_be16(to, static_cast<uint16_t>(value));
}

void append_be64(ByteVector& to, uint64_t value) {
  append_be32(to, static_cast<uint32_t>(value >> 32));
  append_be32(to, static_cast<uint32_t>(value));
}

uint64_t be64(Cursor& cursor) {
  const uint64_t high = cursor.be32();
  return high << 32 | cursor.be32();
}

// One reader and one writer for each body. The reader's cursor is short if the body is.

Result<void> read(Cursor& cursor, OpenConnection& body) {
  cursor.be32();  // reserved
  const size_t length = cursor.u8();
  Result<Target> target = socks5::read_name_and_port(cursor, length);
  if (!target) return target.error();
  body.target = *std::move(target);
  return {};
}
void write(ByteVector& to, const OpenConnection& body) {
  const std::string host = body.target.host();
  append_be32(to, 0);
  to.push_back(static_cast<uint8_t>(host.size()));
  append(to, as_bytes(host));
  append_be16(to, body.target.port());
}

template <typename Closed>
requires requires(Closed closed) {
  closed.reason;
}
Result<void> read(Cursor& cursor, Closed& body) {
  body.reason = cursor.u8();
  body.text = as_text(cursor.take_rest());
  return {};
}
template <typename Closed>
requires requires(Closed closed) {
  closed.reason;
}
void write(ByteVector& to, const Closed& body) {
  to.push_back(body.reason);
  append(to, as_bytes(body.text));
}

Result<void> read(Cursor&, SendEof&) {
  return {};
}
void write(ByteVector&, const SendEof&) {}

Result<void> read(Cursor& cursor, UdpAssociate& body) {
  if (cursor.rest().empty()) return {};
  Result<Target> wished = socks5::read_address(cursor);
  if (!wished) return wished.error();
  body.wished = *std::move(wished);
  return {};
}
void write(ByteVector& to, const UdpAssociate& body) {
  if (body.wished) socks5::append_address(to, *body.wished);
}

Result<void> read(Cursor& cursor, UdpAssociateOpened& body) {
  Result<Target> bound = socks5::read_address(cursor);
  if (!bound) return bound.error();
  body.bound = *std::move(bound);
  return {};
}
void write(ByteVector& to, const UdpAssociateOpened& body) {
  socks5::append_address(to, body.bound);
}

Result<void> read(Cursor& cursor, UdpPacket& body) {
  Result<socks5::Datagram> datagram = socks5::decode_datagram(cursor.take_rest());
  if (!datagram) return datagram.error();
  if (datagram->fragment != 0) return Error{ErrorCode::protocol, "a fragment of a datagram"};
  body = {std::move(datagram->address), datagram->data};
  return {};
}
void write(ByteVector& to, const UdpPacket& body) {
  socks5::encode(socks5::Datagram{0, body.address, body.data}, to);
}

Result<void> read(Cursor& cursor, Hello& body) {
  body.version = cursor.be16();
  const Bytes nonce = cursor.take(body.nonce.size());
  std::copy(nonce.begin(), nonce.end(), body.nonce.begin());
  body.features = cursor.be32();
  body.max_associations = cursor.be32();
  cursor.take_rest();  // what later versions add
  return {};
}
void write(ByteVector& to, const Hello& body) {
  append_be16(to, body.version);
  append(to, body.nonce);
  append_be32(to, body.features);
  append_be32(to, body.max_associations);
}

template <typename Token>
requires requires(Token ping) {
  ping.token;
}
Result<void> read(Cursor& cursor, Token& body) {
  body.token = cursor.be32();
  return {};
}
template <typename Token>
requires requires(Token ping) {
  ping.token;
}
void write(ByteVector& to, const Token& body) {
  append_be32(to, body.token);
}

template <typename Dns>
requires requires(Dns dns) {
  dns.message;
}
Result<void> read(Cursor& cursor, Dns& body) {
  body.message = cursor.take_rest();
  return {};
}
template <typename Dns>
requires requires(Dns dns) {
  dns.message;
}
void write(ByteVector& to, const Dns& body) {
  append(to, body.message);
}

Result<void> read(Cursor& cursor, Data& body) {
  body.bytes = cursor.take_rest();
  return {};
}
void write(ByteVector& to, const Data& body) {
  append(to, body.bytes);
}

Result<void> read(Cursor& cursor, Credit& body) {
  body.bytes = cursor.be32();
  return {};
}
void write(ByteVector& to, const Credit& body) {
  append_be32(to, body.bytes);
}

// u8 more | for each: u8 flags | u8 prefix | u16 first port | u16 last port | address
constexpr uint8_t kDenies = 1;
constexpr uint8_t kIsV6 = 2;

Result<rules::FarRule> read_rule(Cursor& cursor) {
  rules::FarRule rule;
  const uint8_t flags = cursor.u8();
  const bool v6 = (flags & kIsV6) != 0;
  rule.deny = (flags & kDenies) != 0;
  rule.block.prefix = cursor.u8();
  rule.ports.first = cursor.be16();
  rule.ports.last = cursor.be16();
  const Bytes address = cursor.take(v6 ? 16 : 4);
  if (cursor.is_short()) return rule;
  if (rule.block.prefix > address.size() * 8 || rule.ports.first > rule.ports.last) {
    return Error{ErrorCode::protocol, "a rule that cannot be"};
  }
  rule.block.address = v6 ? IpAddress::v6(address.data()) : IpAddress::v4(address.data());
  return rule;
}

Result<void> read(Cursor& cursor, Rules& body) {
  body.more = cursor.u8() != 0;
  while (!cursor.rest().empty() && !cursor.is_short()) {
    const Result<rules::FarRule> rule = read_rule(cursor);
    if (!rule) return rule.error();
    body.rules.push_back(*rule);
  }
  return {};
}
void write(ByteVector& to, const Rules& body) {
  to.push_back(body.more ? 1 : 0);
  for (const rules::FarRule& rule : body.rules) {
    const bool v6 = rule.block.address.is_v6();
    to.push_back(static_cast<uint8_t>((rule.deny ? kDenies : 0) | (v6 ? kIsV6 : 0)));
    to.push_back(rule.block.prefix);
    append_be16(to, rule.ports.first);
    append_be16(to, rule.ports.last);
    append(to, rule.block.address.bytes());
  }
}

template <typename Body, typename Visit>
void each_counter(Body& body, Visit visit) {
  visit(body.denied);
  visit(body.failed);
  visit(body.unresolved);
  visit(body.unclaimed);
  visit(body.too_old);
  visit(body.too_many);
}
Result<void> read(Cursor& cursor, Stats& body) {
  each_counter(body, [&cursor](uint64_t& counter) { counter = be64(cursor); });
  cursor.take_rest();  // what later versions add
  return {};
}
void write(ByteVector& to, const Stats& body) {
  each_counter(body, [&to](uint64_t counter) { append_be64(to, counter); });
}

// Reads the body whose type stands at `Index` in kTypes, or tries the next one.
template <size_t Index = 0>
Result<RelayBody> read_body(uint8_t type, Cursor& cursor) {
  if constexpr (Index < kTypes.size()) {
    if (type != kTypes[Index]) return read_body<Index + 1>(type, cursor);
    std::variant_alternative_t<Index, RelayBody> body;
    const Result<void> done = read(cursor, body);
    if (!done) return Error{ErrorCode::protocol, done.error().message};
    if (cursor.is_short()) return Error{ErrorCode::protocol, "a relay message is cut off"};
    if (!cursor.rest().empty()) return Error{ErrorCode::protocol, "a relay message is too long"};
    return RelayBody(std::move(body));
  } else {
    return RelayBody(Unknown{type});
  }
}

constexpr std::string_view kMagic = "\ntunproxy-relay ";

}  // namespace

Result<std::optional<RelayMessage>> decode_relay(Bytes& input) {
  Cursor outer(input);
  const uint32_t length = outer.be32();
  if (outer.is_short()) return std::optional<RelayMessage>();
  if (length < kHeaderSize || length > kRelayMaxMessage) {
    return Error{ErrorCode::protocol, "a relay message of an impossible length"};
  }
  Cursor cursor(outer.take(length));
  if (outer.is_short()) return std::optional<RelayMessage>();
  const uint8_t type = cursor.u8();
  cursor.be16();  // reserved
  const uint32_t connection = cursor.be32();
  Result<RelayBody> body = read_body(type, cursor);
  if (!body) return body.error();
  outer.commit(input);
  return std::optional<RelayMessage>(RelayMessage{connection, *std::move(body)});
}

Result<void> encode(const RelayMessage& message, ByteVector& to) {
  assert(!std::holds_alternative<Unknown>(message.body));
  const size_t start = to.size();
  to.resize(start + kLengthSize);
  to.push_back(kTypes[message.body.index()]);
  append_be16(to, 0);
  append_be32(to, message.connection);
  std::visit(
      [&to](const auto& body) {
        if constexpr (!std::is_same_v<decltype(body), const Unknown&>) write(to, body);
      },
      message.body);
  const size_t length = to.size() - start - kLengthSize;
  if (length > kRelayMaxMessage) {
    to.resize(start);
    return Error{ErrorCode::limit, "too much for one relay message"};
  }
  store_be32(&to[start], static_cast<uint32_t>(length));
  return {};
}

ByteVector relay_magic(const Hello::Nonce& nonce) {
  const Bytes text = as_bytes(kMagic);
  ByteVector magic(text.begin(), text.end());
  for (const uint8_t byte : nonce) {
    for (const int nibble : {byte >> 4, byte & 15}) {
      magic.push_back(static_cast<uint8_t>("0123456789abcdef"[nibble]));
    }
  }
  magic.push_back('\n');
  return magic;
}

Result<std::optional<size_t>> find_relay_magic(Bytes input, const Hello::Nonce& nonce) {
  const ByteVector magic = relay_magic(nonce);
  const Bytes window = input.first(std::min(input.size(), kRelayMaxBanner + magic.size()));
  const auto found = std::search(window.begin(), window.end(), magic.begin(), magic.end());
  if (found != window.end()) {
    return std::optional<size_t>(static_cast<size_t>(found - window.begin()) + magic.size());
  }
  if (window.size() == kRelayMaxBanner + magic.size()) {
    return Error{ErrorCode::protocol, "the far end's shell says too much before the relay starts"};
  }
  return std::optional<size_t>();
}

}  // namespace tunproxy::udp
