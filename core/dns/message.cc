#include "core/dns/message.h"

#include <cassert>

namespace tunproxy::dns {
namespace {

constexpr size_t kMaxName = 255;  // RFC 1035 §2.3.4, length bytes and the root included
constexpr uint8_t kPointer = 0xc0;

Error malformed(const char* what) {
  return {ErrorCode::protocol, what};
}

void append_label(std::string& name, Bytes label) {
  if (!name.empty()) name += '.';
  for (const uint8_t byte : label) {
    const bool upper = byte >= 'A' && byte <= 'Z';
    name += static_cast<char>(upper ? byte - 'A' + 'a' : byte);
  }
}

}  // namespace

Result<Header> parse_header(Bytes message) {
  if (message.size() < kHeaderSize) return malformed("a DNS message without a whole header");
  const uint8_t* bytes = message.data();
  return Header{load_be16(bytes),     load_be16(bytes + 2), load_be16(bytes + 4),
                load_be16(bytes + 6), load_be16(bytes + 8), load_be16(bytes + 10)};
}

Result<Name> parse_name(Bytes message, size_t offset) {
  Name name;
  size_t length = 0;
  size_t lowest = offset;  // a pointer has to lead in front of everything read so far
  while (offset < message.size()) {
    const uint8_t first = message[offset];
    if (first == 0) {
      if (name.end == 0) name.end = offset + 1;
      return name;
    }
    if ((first & kPointer) == kPointer) {
      if (offset + 2 > message.size()) break;
      if (name.end == 0) name.end = offset + 2;
      const size_t target = load_be16(&message[offset]) & 0x3fffU;
      if (target >= lowest || target < kHeaderSize) {
        return malformed("a DNS name that points forwards or into the header");
      }
      offset = lowest = target;
      continue;
    }
    if ((first & kPointer) != 0) return malformed("a DNS name with an unknown kind of label");
    length += 1U + first;
    if (length + 1 > kMaxName) return malformed("a DNS name that is too long");
    if (offset + 1 + first > message.size()) break;
    append_label(name.text, message.subspan(offset + 1, first));
    offset += 1U + first;
  }
  return malformed("a DNS name that is cut off");
}

Result<Question> parse_question(Bytes message) {
  const Result<Header> header = parse_header(message);
  if (!header) return header.error();
  if (header->questions == 0) return malformed("a DNS message without a question");
  Result<Name> name = parse_name(message, kHeaderSize);
  if (!name) return name.error();
  if (name->end + 4 > message.size()) return malformed("a DNS question that is cut off");
  const uint8_t* tail = message.data() + name->end;
  return Question{std::move(name->text), load_be16(tail), load_be16(tail + 2), name->end + 4};
}

void set_id(MutableBytes message, uint16_t id) {
  assert(message.size() >= kHeaderSize);
  store_be16(message.data(), id);
}

}  // namespace tunproxy::dns
