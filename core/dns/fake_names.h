// FakeNames: the NameService of --dns fake. It answers with addresses of a FakeTable at once, so
// that a name costs no round trip before the connection that resolves it at the far end.
#pragma once

#include <memory>
#include <optional>

#include "core/dns/fake_table.h"
#include "core/dns/message.h"
#include "core/io/loop.h"
#include "core/net/name_service.h"

namespace tunproxy::dns {

/// What it answers: A and AAAA (an address of the table), HTTPS and SVCB (nothing: their hints
/// would go round the table), PTR of the table's addresses, and the names of RFC 6761 that never
/// leave a machine. All else is asked of a resolver: other types, names of one label, .local and
/// .arpa, about which only the truth helps. Without one it fails at once.
class FakeNames final : public net::NameService {
 public:
  /// Seconds. A new question costs no round trip, so a longer one would gain nothing, and it bounds
  /// how long a program may hold an address that has left the table.
  static constexpr uint32_t kTtl = 5;

  /// `resolver`: nullptr: there is none. REQUIRES: all three outlive it.
  FakeNames(io::Loop& loop, FakeTable& table, net::NameService* resolver)
      : loop_(loop), table_(table), resolver_(resolver) {}

  std::unique_ptr<net::Attempt> exchange(const Endpoint& server, Bytes query,
                                         net::Done<ByteVector> done) override;

 private:
  std::optional<ByteVector> answer(Bytes query, const Question& question);
  std::optional<ByteVector> answer_name(Bytes query, const Question& question);
  std::optional<ByteVector> answer_pointer(Bytes query, const Question& question);

  io::Loop& loop_;
  FakeTable& table_;
  net::NameService* const resolver_;
};

}  // namespace tunproxy::dns
