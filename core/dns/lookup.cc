#include "core/dns/lookup.h"

#include <algorithm>
#include <utility>

#include "core/dns/fake_answer.h"
#include "core/dns/message.h"
#include "core/io/delivery.h"

namespace tunproxy::dns {
namespace {

constexpr uint16_t kRecursionDesired = 0x0100;
constexpr size_t kMaxLabel = 63;
constexpr size_t kMaxText = 253;
constexpr size_t kRecordTail = 10;  // type, class, TTL, length: behind the owner's name
constexpr size_t kTtlAt = 4;
constexpr uint32_t kLongestTtl = 3600;

class LookUp final : public net::Attempt {
 public:
  LookUp(net::NameService& names, const Endpoint& server, std::string name,
         net::Done<Addresses> done)
      : names_(names), server_(server), name_(std::move(name)), done_(std::move(done)) {
    ask(kTypeA);
  }

 private:
  void ask(uint16_t type) {
    const Result<ByteVector> query = address_query(name_, type);
    attempt_ = names_.exchange(server_, *query, [this, type](Result<ByteVector> answer) {
      answered(type, std::move(answer));
    });
  }

  // It may be destroyed from within done_.
  void answered(uint16_t type, Result<ByteVector> answer) {
    Result<Addresses> found = answer ? addresses_in(*answer, type) : answer.error();
    if (type == kTypeA && !(found && !found->addresses.empty())) return ask(kTypeAaaa);
    if (found && found->addresses.empty()) {
      found = Error{ErrorCode::host_unreachable, "the name has no address"};
    }
    std::exchange(done_, nullptr)(std::move(found));
  }

  net::NameService& names_;
  const Endpoint server_;
  const std::string name_;
  net::Done<Addresses> done_;
  std::unique_ptr<net::Attempt> attempt_;
};

}  // namespace

Result<ByteVector> address_query(std::string_view name, uint16_t type) {
  const Error no_name{ErrorCode::usage, "not a name that can be looked up"};
  if (name.ends_with('.')) name.remove_suffix(1);
  if (name.empty() || name.size() > kMaxText) return no_name;
  ByteVector query;
  for (const uint16_t field :
       {uint16_t{0}, kRecursionDesired, uint16_t{1}, uint16_t{0}, uint16_t{0}, uint16_t{0}}) {
    append_be16(query, field);
  }
  for (size_t at = 0; at <= name.size();) {
    const size_t end = std::min(name.find('.', at), name.size());
    if (end == at || end - at > kMaxLabel) return no_name;
    query.push_back(static_cast<uint8_t>(end - at));
    append(query, as_bytes(name.substr(at, end - at)));
    at = end + 1;
  }
  query.push_back(0);
  append_be16(query, type);
  append_be16(query, kClassIn);
  return query;
}

Result<Addresses> addresses_in(Bytes answer, uint16_t type) {
  const Result<Header> header = parse_header(answer);
  if (!header) return header.error();
  if (header->response_code() != kNoError) {
    return Error{ErrorCode::host_unreachable, "the name cannot be resolved"};
  }
  const Result<Question> question = parse_question(answer);
  if (!question) return question.error();
  const Error cut_off{ErrorCode::protocol, "a DNS record that is cut off"};
  const size_t size = type == kTypeA ? 4 : 16;
  Addresses found;
  uint32_t ttl = kLongestTtl;
  size_t at = question->end;
  for (unsigned i = 0; i < header->answers; ++i) {
    const Result<Name> owner = parse_name(answer, at);
    if (!owner) return owner.error();
    if (owner->end + kRecordTail > answer.size()) return cut_off;
    const uint8_t* tail = &answer[owner->end];
    const size_t length = load_be16(tail + kRecordTail - 2);
    at = owner->end + kRecordTail + length;
    if (at > answer.size()) return cut_off;
    if (load_be16(tail) != type || load_be16(tail + 2) != kClassIn || length != size) continue;
    const uint8_t* data = tail + kRecordTail;
    found.addresses.push_back(type == kTypeA ? IpAddress::v4(data) : IpAddress::v6(data));
    ttl = std::min(ttl, load_be32(tail + kTtlAt));
  }
  found.ttl = std::chrono::seconds(ttl);
  return found;
}

std::unique_ptr<net::Attempt> look_up(io::Loop& loop, net::NameService& names,
                                      const Endpoint& server, const std::string& name,
                                      net::Done<Addresses> done) {
  if (const auto query = address_query(name, kTypeA); !query) {
    return std::make_unique<io::Later<Addresses>>(loop, std::move(done), query.error());
  }
  return std::make_unique<LookUp>(names, server, name, std::move(done));
}

}  // namespace tunproxy::dns
