// Fuzzes every decoder of the SOCKS5 and datagram wire formats: whatever a peer sends, a decoder
// takes nothing it has not understood, and what it understood makes the round trip.
#include <cstdint>
#include <cstdlib>

#include "core/dns/fake_answer.h"
#include "core/dns/message.h"
#include "core/dns/resolv_conf.h"
#include "core/socks5/http_wire.h"
#include "core/socks5/socks4_wire.h"
#include "core/socks5/wire.h"
#include "core/udp/relay_wire.h"
#include "core/udp/udpgw_wire.h"

namespace tunproxy {
namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

bool succeeded(const Result<void>& result) {
  return result.has_value();
}

// Bytes that were understood, encoded again, are understood again and encode to the same. (The
// first encoding may differ from the input: reserved bytes, addresses that came as names.)
template <typename Decode, typename Encode>
void check(Bytes input, Decode decode, Encode encode_again) {
  Bytes rest = input;
  const auto message = decode(rest);
  const bool taken = message && message->has_value();
  require(taken ? rest.size() < input.size() : rest.size() == input.size());
  require(rest.data() + rest.size() == input.data() + input.size());
  if (!taken) return;
  ByteVector first;
  if (!encode_again(**message, first)) return;
  Bytes encoded = first;
  const auto again = decode(encoded);
  require(again && again->has_value() && encoded.empty());
  ByteVector second;
  require(encode_again(**again, second) && first == second);
}

template <typename Message>
bool encode_message(const Message& message, ByteVector& to) {
  if constexpr (std::is_same_v<decltype(encode(message, to)), void>) {
    encode(message, to);
    return true;
  } else {
    return succeeded(encode(message, to));
  }
}

template <typename Decode>
void check(Bytes input, Decode decode) {
  check(input, decode,
        [](const auto& message, ByteVector& to) { return encode_message(message, to); });
}

void check_datagram(Bytes input) {
  const auto datagram = socks5::decode_datagram(input);
  if (!datagram) return;
  ByteVector first;
  socks5::encode(*datagram, first);
  const auto again = socks5::decode_datagram(first);
  require(again && again->address == datagram->address &&
          again->data.size() == datagram->data.size());
}

// A request is taken whole or not at all, and says the same if it comes again.
void check_http(Bytes input) {
  Bytes rest = input;
  const auto request = socks5::decode_http_request(rest);
  const bool taken = request && request->has_value();
  require(taken ? rest.size() < input.size() : rest.size() == input.size());
  if (!taken) return;
  (void)(*request)->basic();
  (void)(*request)->authority();
  Bytes again = input.first(input.size() - rest.size());
  const auto same = socks5::decode_http_request(again);
  require(same && same->has_value() && again.empty() && **same == **request);
}

void check_udp(Bytes input) {
  check(input, udp::decode_udpgw);
  check(input, udp::decode_relay, [](const udp::RelayMessage& message, ByteVector& to) {
    return !std::holds_alternative<udp::Unknown>(message.body) && succeeded(encode(message, to));
  });
  (void)udp::find_relay_magic(input, {});
}

void check_dns(Bytes input) {
  (void)dns::parse_question(input);
  for (size_t offset = 0; offset < std::min<size_t>(input.size(), 64); ++offset) {
    const auto name = dns::parse_name(input, offset);
    require(!name || (name->end > offset && name->end <= input.size()));
  }
  if (const auto question = dns::parse_question(input)) {
    const ByteVector failure = dns::empty_answer(input, *question, dns::kServerFailure);
    require(dns::parse_question(failure)->matches(*question));
  }
  (void)dns::parse_resolv_conf(as_text(input));
}

}  // namespace
}  // namespace tunproxy

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace tunproxy;
  const Bytes input(data, size);
  check(input, socks5::decode_greeting);
  check(input, socks5::decode_method_choice);
  check(input, socks5::decode_credentials);
  check(input, socks5::decode_credentials_status);
  check(input, socks5::decode_request);
  check(input, socks5::decode_reply);
  check(input, socks5::decode_socks4_request);
  check(input, socks5::decode_socks4_reply);
  check_http(input);
  check_datagram(input);
  check_udp(input);
  check_dns(input);
  return 0;
}
