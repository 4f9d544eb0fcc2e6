#include "core/dns/fake_names.h"

#include <utility>

#include "core/dns/fake_answer.h"
#include "core/io/delivery.h"

namespace tunproxy::dns {
namespace {

constexpr uint16_t kOpcode = 0x7800;

bool within(std::string_view name, std::string_view zone) {
  if (!name.ends_with(zone)) return false;
  return name.size() == zone.size() || name[name.size() - zone.size() - 1] == '.';
}

IpAddress loopback_v4() {
  const uint8_t bytes[4] = {127, 0, 0, 1};
  return IpAddress::v4(bytes);
}

IpAddress loopback_v6() {
  const uint8_t bytes[16] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  return IpAddress::v6(bytes);
}

// Whether a connection by this name could be asked of the far end, and may succeed there.
bool stands_for_a_host(const std::string& name) {
  if (name.size() > FakeTable::kMaxName || name.find('.') == std::string::npos) return false;
  if (within(name, "local") || within(name, "arpa")) return false;
  return Target::plain_name(name) && !IpAddress::parse(name);
}

// A dot or a NUL within a label would make another name of it at the far end.
bool survives_as_text(Bytes query, const Question& question) {
  size_t labels = 0;
  for (size_t at = kHeaderSize; query[at] != 0; at += 1U + query[at]) ++labels;
  size_t dots = 0;
  for (const char character : question.name) dots += character == '.' ? 1 : 0;
  return labels == dots + 1;
}

ByteVector answer_with(Bytes query, const Question& question, const IpAddress& v4,
                       const IpAddress& v6) {
  std::vector<IpAddress> addresses;
  if (question.type == kTypeA || question.type == kTypeAny) addresses.push_back(v4);
  if (question.type == kTypeAaaa || question.type == kTypeAny) addresses.push_back(v6);
  return address_answer(query, question, addresses, FakeNames::kTtl);
}

}  // namespace

std::unique_ptr<net::Attempt> FakeNames::exchange(const Endpoint& server, Bytes query,
                                                  net::Done<ByteVector> done) {
  const auto reply = [&](Result<ByteVector> outcome) {
    return std::make_unique<io::Later<ByteVector>>(loop_, std::move(done), std::move(outcome));
  };
  const Result<Question> question = parse_question(query);
  if (!question || parse_header(query)->is_response()) {
    return reply(Error{ErrorCode::protocol, "not a DNS query"});
  }
  if (std::optional<ByteVector> made = answer(query, *question)) return reply(std::move(*made));
  if (resolver_ == nullptr) return reply(empty_answer(query, *question, kServerFailure));
  return resolver_->exchange(server, query, std::move(done));
}

std::optional<ByteVector> FakeNames::answer(Bytes query, const Question& question) {
  const Result<Header> header = parse_header(query);
  if ((header->flags & kOpcode) != 0 || question.klass != kClassIn) return std::nullopt;
  // Nobody knows which of several questions an answer would be for (RFC 9619).
  if (header->questions != 1) return empty_answer(query, question, kFormatError);
  if (within(question.name, "localhost")) {
    return answer_with(query, question, loopback_v4(), loopback_v6());
  }
  if (within(question.name, "invalid")) return empty_answer(query, question, kNoSuchName);
  if (question.type == kTypePtr) return answer_pointer(query, question);
  return answer_name(query, question);
}

std::optional<ByteVector> FakeNames::answer_name(Bytes query, const Question& question) {
  if (!stands_for_a_host(question.name) || !survives_as_text(query, question)) return std::nullopt;
  switch (question.type) {
    case kTypeHttps:
    case kTypeSvcb:
      return empty_answer(query, question, kNoError);
    case kTypeA:
    case kTypeAaaa:
    case kTypeAny: {
      const FakeTable::Addresses addresses = table_.addresses_of(question.name);
      return answer_with(query, question, addresses.v4, addresses.v6);
    }
    default:
      return std::nullopt;
  }
}

std::optional<ByteVector> FakeNames::answer_pointer(Bytes query, const Question& question) {
  const std::optional<IpAddress> address = reversed_address(question.name);
  if (!address || !FakeTable::contains(*address)) return std::nullopt;
  const std::string* name = table_.name_of(*address);
  if (name == nullptr) return empty_answer(query, question, kNoSuchName);
  return pointer_answer(query, question, *name, kTtl);
}

}  // namespace tunproxy::dns
